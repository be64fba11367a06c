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
}
