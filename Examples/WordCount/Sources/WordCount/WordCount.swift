// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Counts the words of text files, each in a process of its own.
@main
enum WordCount {
    /// Prints a line for each file, and the sum. The exit code is 1 when a file could not be counted.
    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst()
        let counts = try await Count.all(arguments.isEmpty ? Documents.ofThisRepository : Array(arguments))

        var sum = 0
        var lost = 0
        for count in counts {
            switch count.words {
            case .success(let words):
                sum += words
                print(column("\(words)"), count.path)
            case .failure(let error):
                lost += 1
                print(column("lost"), "\(count.path): \(Count.reason(error))")
            }
        }
        print(column("\(sum)"), "words in \(counts.count - lost) of \(counts.count) files")
        exit(lost == 0 ? 0 : 1)
    }

    /// Fills `text` up to eight characters from the left.
    private static func column(_ text: String) -> String {
        String(repeating: " ", count: max(0, 8 - text.count)) + text
    }
}
