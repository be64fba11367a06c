// SPDX-License-Identifier: Apache-2.0

import Foundation
import Multiprocessing

/// What became of a file.
struct Count: Sendable {
    /// The file's path.
    let path: String

    /// How many words it has, or why that is not known.
    let words: Result<Int, any Error>

    /// Counts each file in a process of its own, as many at once as there are processors. Returns the counts in the order of `paths`.
    ///
    /// A file whose process crashes, hangs or throws costs its own count and nothing else.
    static func all(_ paths: [String]) async -> [Count] {
        await withTaskGroup(of: (Int, Count).self) { group in
            var counts = [Count?](repeating: nil, count: paths.count)
            var waiting = paths.enumerated().makeIterator()

            func addNext() {
                guard let (index, path) = waiting.next() else { return }
                group.addTask { (index, await one(path)) }
            }

            for _ in 0..<availableCPUCount { addNext() }
            while let (index, count) = await group.next() {
                counts[index] = count
                addNext()
            }
            return counts.compactMap { $0 }
        }
    }

    /// Counts the words of one file in a process of its own, which is killed when it takes a minute.
    private static func one(_ path: String) async -> Count {
        do {
            let words = try await ChildProcess.run(timeout: .seconds(60), target: Words.count(inFile:), arguments: path)
            return Count(path: path, words: .success(words))
        } catch {
            return Count(path: path, words: .failure(error))
        }
    }

    /// Why there is no count, in one line.
    static func reason(_ error: any Error) -> String {
        switch error {
        // The message of a trap is told without the stack that `description` adds.
        case let lost as ProcessLost: "its process \(lost.status)" + (lost.message.map { ": \($0)" } ?? "")
        default: "\(error)"
        }
    }
}
