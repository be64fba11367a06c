// SPDX-License-Identifier: Apache-2.0

import Foundation
import Multiprocessing

/// Makes small pictures of large ones with a C library that ends the program when a file is damaged.
@main
enum Thumbnails {
    /// What became of a picture.
    struct Thumbnail: Codable, Sendable {
        let path: String
        let width: Int
        let height: Int
    }

    /// Prints a line for each picture, as they are done. The exit code is 1 when one of them could not be read.
    static func main() async throws {
        let arguments = Array(CommandLine.arguments.dropFirst())
        let paths = arguments.isEmpty ? try Samples.make(24) : arguments
        var (done, lost) = (0, 0)
        try await withPool { pool in
            let thumbnails = pool.imapUnordered(paths, progress: .terminal("thumbnails"), makeThumbnail)
            for await thumbnail in thumbnails.results {
                switch thumbnail {
                case .success(let small):
                    done += 1
                    print("\(small.path) \(small.width)x\(small.height)")
                case .failure(let error as WorkerLost):
                    // Which one it was has gone with its process; `imap` would tell, since its results are in order.
                    lost += 1
                    print("lost: its process \(error.status)")
                case .failure(let error):
                    lost += 1
                    print("lost: \(error)")
                }
            }
        }
        print("\(done) thumbnails, \(lost) lost")
        if arguments.isEmpty, let first = paths.first {
            try FileManager.default.removeItem(at: URL(filePath: first).deletingLastPathComponent())
        }
        exit(lost == 0 ? 0 : 1)
    }

    /// Writes a small picture beside a large one. Runs in a process of the pool.
    private static func makeThumbnail(path: String) throws -> Thumbnail {
        let small = try Image(jpeg: path, width: 200)
        let target = path + ".thumbnail.jpg"
        try small.write(jpeg: target)
        return Thumbnail(path: target, width: small.width, height: small.height)
    }
}
