// SPDX-License-Identifier: Apache-2.0

/// A section of the tutorial.
struct Section: Sendable {
    /// The heading, without its number.
    let title: String

    /// Prints what the tutorial's section prints.
    let run: @Sendable () throws -> Void

    /// Creates a section that runs `body`.
    init(_ title: String, _ body: @escaping @Sendable () throws -> Void) {
        self.title = title
        run = body
    }

    /// Creates a section that waits for a part of the package.
    init(_ title: String, _ part: MissingPart) {
        self.init(title) { print("needs \(part.rawValue), which this version does not have yet") }
    }
}

/// A part of the package that is still to come.
enum MissingPart: String {
    case pool = "Pool"
}
