// SPDX-License-Identifier: Apache-2.0

/// A coding key that belongs to no type: what coding paths are made of.
struct WireKey: CodingKey {
    let stringValue: String
    let intValue: Int?

    /// Creates the key of a keyed container's entry.
    init(stringValue: String) {
        self.stringValue = stringValue
        intValue = nil
    }

    /// Creates the key of a list's element.
    init(intValue: Int) {
        stringValue = "Index \(intValue)"
        self.intValue = intValue
    }

    /// The key of a super encoder without a key.
    static let superKey = WireKey(stringValue: "super")

    /// Returns a path in the form `orders[3].price`.
    static func text(_ path: [any CodingKey]) -> String {
        var text = ""
        for key in path {
            if let index = key.intValue {
                text += "[\(index)]"
            } else {
                text += text.isEmpty ? key.stringValue : ".\(key.stringValue)"
            }
        }
        return text
    }
}
