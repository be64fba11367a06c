// SPDX-License-Identifier: Apache-2.0

/// Why something could not be measured.
public struct MeasuringError: Error, CustomStringConvertible {
    /// What to tell the user.
    public let description: String

    /// Creates an error.
    public init(_ description: String) {
        self.description = description
    }
}
