// SPDX-License-Identifier: Apache-2.0

/// Returns how many times as long `body` takes for four times as much: about 4 when the time is linear, 16 when it is quadratic.
///
/// - Parameter count: How much is little. `body` is called with it and with four times it, each several times, and the shortest times count.
func growth(from count: Int, _ body: (Int) throws -> Void) rethrows -> Double {
    let clock = ContinuousClock()
    var (few, many) = (Duration.seconds(1_000_000), Duration.seconds(1_000_000))
    // In turn, so that a machine that is busy for a while is so for both.
    for _ in 0..<6 {
        few = min(few, try clock.measure { try body(count) })
        many = min(many, try clock.measure { try body(4 * count) })
    }
    return many / few
}
