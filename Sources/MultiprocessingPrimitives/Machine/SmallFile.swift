// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Files of the kernel, which are made as they are read.
package enum SmallFile {
    private static let limit = 16 * 1024

    /// Returns the first 16 KiB of the file, or nil when it cannot be read.
    package static func read(_ path: String) -> String? {
        guard let file = try? OwnedDescriptor(checking: open(path, O_RDONLY | O_CLOEXEC), "opening \(path)") else {
            return nil
        }
        return withUnsafeTemporaryAllocation(byteCount: limit, alignment: 1) { buffer in
            let count = Glibc.read(file.number, buffer.baseAddress, buffer.count)
            return count < 0 ? nil : String(decoding: UnsafeRawBufferPointer(rebasing: buffer[..<count]), as: UTF8.self)
        }
    }

    /// The number that the file begins with; nil for words, such as "max", or without the file.
    package static func number(_ path: String) -> Int? {
        read(path)?.split(whereSeparator: \.isWhitespace).first.flatMap { Int($0) }
    }

    /// The number behind `name` in a file of lines like "MemFree:  123 kB" or "inactive_file 123".
    package static func number(_ name: String, in text: String) -> Int? {
        for line in text.split(separator: "\n") {
            let words = line.split(whereSeparator: { $0 == " " || $0 == ":" })
            if words.count > 1, words[0] == name { return Int(words[1]) }
        }
        return nil
    }
}
