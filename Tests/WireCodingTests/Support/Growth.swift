// SPDX-License-Identifier: Apache-2.0

/// Returns how many times as long `body` takes for four times as much: about 4 when the time is linear, 16 when it is quadratic.
///
/// - Parameter count: How much is little. `body` is called with it and with four times it, each several times, and the shortest times count.
func growth(from count: Int, _ body: (Int) throws -> Void) rethrows -> Double {
    let clock = ContinuousClock()
    func shortest(_ count: Int) throws -> Duration {
        var best: Duration?
        for _ in 0..<5 {
            let time = try clock.measure { try body(count) }
            best = min(best ?? time, time)
        }
        return best ?? .zero
    }
    // One after the other several times, so that a busy machine is busy for both.
    let (few, many) = (try shortest(count), try shortest(4 * count))
    return many / few
}
