// SPDX-License-Identifier: Apache-2.0

import Foundation
import Multiprocessing

/// What became of a file.
struct Count: Sendable {
    /// The file's path.
    let path: String

    /// How many words it has, or why that is not known.
    let words: Result<Int, any Error>

    /// Counts each file in a process of its own, as many at once as there are processors, and shows on standard error how far it has come. Returns the counts in the order of `paths`.
    ///
    /// A file whose process crashes, or that takes a minute, costs its own count and nothing else.
    static func all(_ paths: [String]) async throws -> [Count] {
        let pool = try Pool(isolation: .perTask)
        defer { pool.terminate() }
        let counts = try await pool.mapResults(
            paths,
            options: TaskOptions(timeout: .seconds(60)),
            progress: .terminal("counting"),
            Words.count(inFile:)
        )
        pool.close()
        try await pool.join()
        return zip(paths, counts).map { Count(path: $0, words: $1) }
    }

    /// Why there is no count, in one line.
    static func reason(_ error: any Error) -> String {
        switch error {
        // The message of a trap is told without the stack that `description` adds.
        case let lost as WorkerLost: "its process \(lost.status)" + (lost.message.map { ": \($0)" } ?? "")
        default: "\(error)"
        }
    }
}
