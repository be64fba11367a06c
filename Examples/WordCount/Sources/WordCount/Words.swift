// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Counts words the way a careless library does: text that is not UTF-8 is a programmer error to it, and traps.
enum Words {
    /// Returns how many words the file has. Runs in a process of the pool.
    ///
    /// - Throws: `Unreadable`, which arrives in the parent as what it is because it is `Codable`.
    static func count(inFile path: String) throws -> Int {
        let data: Data
        do {
            data = try Data(contentsOf: URL(filePath: path))
        } catch {
            throw Unreadable(reason: error.localizedDescription)
        }
        return count(in: data)
    }

    /// Returns how many words `data` has, which must be UTF-8: what stands between white space and has a letter or a digit in it.
    static func count(in data: Data) -> Int {
        guard let text = String(validating: data, as: UTF8.self) else {
            fatalError("the text is not UTF-8")
        }
        return text.split(whereSeparator: \.isWhitespace).count { word in
            word.contains { $0.isLetter || $0.isNumber }
        }
    }
}

/// A file that cannot be read.
struct Unreadable: Error, Codable, CustomStringConvertible {
    /// Why, in words.
    let reason: String

    /// The reason.
    var description: String { reason }
}
