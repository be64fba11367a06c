// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc

/// Words to sleep on together: until one of them has another value than was expected of it, or is woken.
///
/// Kernels before 5.16 cannot do that. There only the first word ends a sleep at once, and the others are looked at again and again (`wait`).
package struct FutexSet {
    private var futexes: InlineArray<6, mp_futex>
    private var count = 1

    /// How long a sleep lasts before the other words are looked at, where the kernel does not: when they tell what was asked for, and when they only tell what the dead did.
    private static var soon: Int64 { 5_000_000 }
    private static var late: Int64 { 1_000_000_000 }

    /// Creates a set of one word, which is expected to have a value.
    package init(_ word: SharedWord, is expected: UInt32) {
        futexes = InlineArray(repeating: mp_futex(word: word.raw, expected: expected))
    }

    /// Adds a word, one of five at most, which is expected to have a value.
    package mutating func add(_ word: SharedWord, is expected: UInt32) {
        futexes[count] = mp_futex(word: word.raw, expected: expected)
        count += 1
    }

    /// Sleeps while all have the values expected of them, at most until `deadline`.
    ///
    /// - Parameter areRare: Whether the words after the first change without a wake of the first only when somebody was killed: a second is soon enough then for a kernel that has to be asked.
    package consuming func wait(
        until deadline: Deadline,
        cancellation: WaitCancellation? = nil,
        areRare: Bool = false
    ) -> FutexWaitResult {
        cancellation?.add(to: &self)
        let look = areRare && cancellation?.isUrgent != true ? Self.late : Self.soon
        let count = count
        let result = futexes.span.withUnsafeBufferPointer {
            mp_futex_wait_any($0.baseAddress, count, deadline.futexTime, look)
        }
        let error = errno
        if let cancellation, cancellation.isCancelled { return .cancelled }
        return result != 0 && error == ETIMEDOUT ? .timedOut : .lookAgain
    }
}
