// SPDX-License-Identifier: Apache-2.0
//
// A lock between the threads of one process: a futex word that is 0 (free), 1 (held) or 2 (held, and somebody sleeps), after Drepper, "Futexes are tricky", 2011.
//
// The standard library's `Mutex` writes the holder's thread id into the word, as the thread knew it when it first asked. In a forked child that is the parent's: the kernel refuses to lock or
// unlock for it as soon as two threads of the child want the same mutex. This one does not say who holds it.

internal import CMultiprocessing
internal import Synchronization

/// A value that one thread of this process at a time may use; as the standard library's `Mutex`, but for forked children as well.
///
/// One that another thread holds at the moment of a fork stays held in the child. Where that can be, it belongs into a ``ForkLocal``, or is made by `init(ofProcess:)`.
package struct PlainMutex<Value: ~Copyable>: ~Copyable, @unchecked Sendable {
    // Safe because the value is touched only by whoever holds the lock.
    private let value: UnsafeMutablePointer<Value>
    private let word: SharedWord

    /// Creates a free lock around a value.
    package init(_ value: consuming sending Value) {
        self.value = .allocate(capacity: 1)
        self.value.initialize(to: value)
        word = SharedWord(.allocate(capacity: 1))
        word.initialize(0)
    }

    /// Creates a free lock around a value that the process keeps for good, such as a static one: a copy of the process (`.fork`) is made while no other thread holds it.
    package init(ofProcess value: consuming sending Value) {
        self.init(value)
        let isNoted = mp_note_lock(UnsafePointer(OpaquePointer(word.pointer)))
        precondition(isNoted, "more locks of the process than there is room for")
    }

    deinit {
        value.deinitialize(count: 1)
        value.deallocate()
        word.deallocate()
    }

    /// Calls `body` with the value while no other thread of this process uses it; the thread is blocked until then. Not to be called inside `body`.
    package borrowing func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        if !word.replace(0, with: 1) { wait() }
        defer { if word.exchange(0) == 2 { word.wake(1) } }
        return try body(&value.pointee)
    }

    @inline(never)
    private func wait() {
        // Whoever has slept leaves the mark for the others who may be asleep.
        while word.exchange(2) != 0 { _ = word.wait(while: 2, until: .never) }
    }
}
