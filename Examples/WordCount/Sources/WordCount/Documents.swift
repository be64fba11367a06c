// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The files that are counted when none are named.
enum Documents {
    /// The Markdown files of the repository that this example is part of.
    static var ofThisRepository: [String] {
        // Sources/WordCount/Documents.swift, in Examples/WordCount.
        var root = URL(filePath: #filePath)
        for _ in 0..<5 { root.deleteLastPathComponent() }
        let folders = ["", "Sources/Multiprocessing/Documentation.docc", "Examples/WordCount", "Benchmarks"]
        return folders.flatMap { folder in
            let url = root.appending(path: folder)
            let names = (try? FileManager.default.contentsOfDirectory(atPath: url.path())) ?? []
            return names.filter { $0.hasSuffix(".md") }.sorted().map { url.appending(path: $0).path() }
        }
    }
}
