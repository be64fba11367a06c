// SPDX-License-Identifier: Apache-2.0

/// A function that is called with values as they are, where nothing has to leave the process: one for each piece, and one comes back.
enum DirectFunction: Sendable {
    /// To be called on the current thread.
    case sync(@Sendable (any Sendable) throws -> any Sendable)
    /// To be awaited.
    case async(@Sendable (any Sendable) async throws -> any Sendable)
}

/// What came back as it is.
enum DirectOutcome: Sendable {
    /// One value for each piece.
    case values([any Sendable])
    /// What was thrown.
    case failed(any Error)
}
