// SPDX-License-Identifier: Apache-2.0

/// An optional function: two words like the function in it. Nil is a small number in place of the code, 0 in the innermost optional, 1 in the one around it, and so on.
enum OptionalFunction {
    /// What says on the wire that there is a function.
    static let some: UInt8 = 255
    /// More optionals than that around a function are refused.
    static let deepest = 16
}
