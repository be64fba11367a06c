// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Returns how many times as long `body` takes for four times as much: about 4 when the time is linear, 16 when it is quadratic.
///
/// The time is the processor's, for this thread alone, and the shortest of several count; they are taken again as long as the growth is not that of linear time, since a machine with much else to do
/// makes each of them longer in its own way, but not all.
///
/// - Parameter count: How much is little. `body` is called with it and with four times it.
func growth(from count: Int, _ body: (Int) throws -> Void) rethrows -> Double {
    var (few, many) = (Int.max, Int.max)
    var growth = Double.infinity
    // In turn, so that a machine that is busy for a while is so for both.
    for _ in 0..<40 where growth > 7 {
        few = min(few, try processorTime { try body(count) })
        many = min(many, try processorTime { try body(4 * count) })
        growth = Double(many) / Double(max(few, 1))
    }
    return growth
}

/// How many nanoseconds of the processor's time this thread takes for `body`.
private func processorTime(_ body: () throws -> Void) rethrows -> Int {
    func now() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }
    let start = now()
    try body()
    return now() - start
}
