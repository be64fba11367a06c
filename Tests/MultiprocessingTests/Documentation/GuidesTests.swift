// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// That the code of the guides and of README is the code of the tests beside this file, line by line.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct GuidesTests {
    /// A piece of Swift in a guide, as its lines that say something.
    struct Block: CustomTestStringConvertible {
        let guide: String
        let number: Int
        let lines: [String]

        var testDescription: String { "\(guide) \(number)" }
    }

    private static let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    private static let root = tests.appendingPathComponent("../../..").standardizedFileURL

    @Test func `every piece of code in the guides is in a test`() throws {
        let blocks = try Self.blocks()
        try #require(blocks.count > 70)
        let sources = try Self.files(in: Self.tests, "swift").map { url in
            (url.lastPathComponent, try String(contentsOf: url, encoding: .utf8).split(separator: "\n").map(Self.code))
        }
        for block in blocks {
            // The file that has most of it tells which line is another one there.
            let found = sources.map { (count: Self.count(of: block.lines, in: $0.1), file: $0.0) }.max {
                $0.count < $1.count
            }
            let (count, file) = try #require(found)
            guard count < block.lines.count else { continue }
            Issue.record("\(block.testDescription): \(file) has not, in this order: \(block.lines[count])")
        }
    }

    @Test func `a changed line is noticed`() {
        let lines = ["let pool = try Pool()", "print(try pool.apply(square, 2))"]
        #expect(Self.count(of: lines, in: lines) == 2)
        #expect(Self.count(of: lines, in: ["let pool = try Pool()", "#expect(try pool.apply(square, 2) == 4)"]) == 2)
        #expect(Self.count(of: lines, in: ["let pool = try Pool(processes: 2)"] + lines.suffix(1)) == 0)
        #expect(Self.count(of: lines, in: lines.reversed()) == 1)
    }

    /// Returns how many of the lines come in this order in a file.
    private static func count(of lines: [String], in source: [String]) -> Int {
        var count = 0
        for line in source where count < lines.count && isSame(lines[count], line) { count += 1 }
        return count
    }

    /// Whether a line of a guide is one of a test, where what is printed may be compared instead.
    private static func isSame(_ line: String, _ tested: String) -> Bool {
        if line == tested { return true }
        if line.hasPrefix("print("), line.hasSuffix(")") { return tested.contains(line.dropFirst(6).dropLast()) }
        if line.hasPrefix("case "), let range = line.range(of: ": print(") {
            return tested.hasPrefix(line[..<range.lowerBound])
        }
        return false
    }

    /// Returns the pieces of Swift of all guides, but for those of a package's manifest.
    private static func blocks() throws -> [Block] {
        let folder = root.appendingPathComponent("Sources/Multiprocessing/Documentation.docc")
        return try (files(in: folder, "md") + [root.appendingPathComponent("README.md")]).flatMap { url in
            var blocks: [Block] = []
            var lines: [String]?
            for line in try String(contentsOf: url, encoding: .utf8).split(separator: "\n") {
                if line == "```swift" {
                    lines = []
                } else if line == "```", let piece = lines {
                    let isManifest = piece.contains { $0.contains(".package(url:") }
                    let said = piece.filter {
                        $0.contains { $0.isLetter } && !$0.contains("…") && !$0.hasPrefix("import ") && $0 != "@main"
                    }
                    if !isManifest {
                        blocks.append(Block(guide: url.lastPathComponent, number: blocks.count + 1, lines: said))
                    }
                    lines = nil
                } else {
                    lines?.append(code(line))
                }
            }
            return blocks
        }
    }

    private static func files(in folder: URL, _ kind: String) throws -> [URL] {
        try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            .filter { $0.pathExtension == kind }
    }

    /// Returns a line without what has no meaning here: spaces around it, a comment, who may see it.
    private static func code(_ line: Substring) -> String {
        var line = line.trimmingCharacters(in: .whitespaces)
        while let comment = line.range(of: "//", options: .backwards), !line[..<comment.lowerBound].hasSuffix(":") {
            line = String(line[..<comment.lowerBound]).trimmingCharacters(in: .whitespaces)
        }
        for word in ["private ", "@Sendable "] where line.hasPrefix(word) { line.removeFirst(word.count) }
        return line
    }
}
