// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

/// When to look again where whoever does what is waited for may not tell: in a millisecond at first, which is long for him, and then ever later, since he may have been stopped.
struct LooksAhead: Sendable {
    private static let first = Duration.milliseconds(1)
    private static let longest = Duration.milliseconds(100)

    private var pause = first

    /// The time of the next look; the one after it comes later still.
    mutating func next() -> Deadline {
        defer { pause = min(pause * 2, Self.longest) }
        return Deadline(timeout: pause)
    }

    /// Begins anew: he would tell now.
    mutating func reset() {
        pause = Self.first
    }
}
