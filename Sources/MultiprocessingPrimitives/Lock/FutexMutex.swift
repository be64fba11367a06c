// SPDX-License-Identifier: Apache-2.0
//
// A lock between the threads of one process. The standard library's knows its holder by the number of the thread, which it remembers for each thread and in each object file: in a copy of a process made
// by fork some files remember the number from before and others ask anew, and a lock taken in one and released in another ends the program ("Call to unlock Mutex on a thread which hasn't acquired
// the lock"). This one knows only whether it is taken.
//
// The word: 0 free, 1 taken, 2 taken and somebody may sleep ("Futexes Are Tricky", Drepper, 2011, mutex 2).

internal import CMultiprocessing
public import Synchronization

// What is taken and given back without anybody waiting is inlinable, because it is on the way of every message: elsewhere it would be called through the metadata of its types, which takes several times as long
// as the lock.

/// A value with a lock around it.
@usableFromInline
package struct FutexMutex<Value: ~Copyable>: ~Copyable, @unchecked Sendable {
    // Safe because the value is reached only with the lock, and the pointers never change.
    /// Whether it is taken.
    @usableFromInline package let word: UnsafeMutablePointer<Atomic<UInt32>>
    /// The value itself.
    @usableFromInline package let value: UnsafeMutablePointer<Value>

    /// How often to look before sleep.
    private static var looks: Int { 50 }

    /// Where the value lies behind the word, which is at the start of their memory.
    @inlinable package static var valueOffset: Int {
        max(MemoryLayout<Value>.alignment, MemoryLayout<Atomic<UInt32>>.size)
    }

    /// Creates the lock around `value`.
    @inlinable
    package init(_ value: consuming sending Value) {
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: Self.valueOffset + MemoryLayout<Value>.size,
            alignment: max(MemoryLayout<Value>.alignment, MemoryLayout<Atomic<UInt32>>.alignment)
        )
        word = memory.bindMemory(to: Atomic<UInt32>.self, capacity: 1)
        word.initialize(to: Atomic(0))
        self.value = (memory + Self.valueOffset).bindMemory(to: Value.self, capacity: 1)
        self.value.initialize(to: value)
    }

    @inlinable
    deinit {
        value.deinitialize(count: 1)
        UnsafeMutableRawPointer(word).deallocate()
    }

    /// Calls `body` with the value, alone. Not to be called inside `body` again.
    @inlinable
    @inline(__always)
    package borrowing func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        lock()
        defer { unlock() }
        return try body(&value.pointee)
    }

    /// Takes the lock.
    @inlinable
    @inline(__always)
    package borrowing func lock() {
        // Acquiring: pairs with the release in `unlock`.
        if word.pointee.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged { return }
        lockSlowly()
    }

    /// Takes the lock that somebody else had a moment ago.
    @usableFromInline
    @inline(never)
    package borrowing func lockSlowly() {
        if Spinning.allowance() > 0 {
            for _ in 0..<Self.looks {
                mp_pause()
                // Relaxed: the exchange acquires.
                if word.pointee.load(ordering: .relaxed) == 0,
                    word.pointee.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged
                {
                    return
                }
            }
        }
        while word.pointee.exchange(2, ordering: .acquiring) != 0 { mp_futex_wait(futexWord, 2, -1) }
    }

    /// Gives the lock back.
    @inlinable
    @inline(__always)
    package borrowing func unlock() {
        if word.pointee.exchange(0, ordering: .releasing) == 2 { wake() }
    }

    /// Wakes one who sleeps for the lock.
    @usableFromInline
    @inline(never)
    package borrowing func wake() {
        mp_futex_wake(futexWord, 1)
    }

    /// The word as the kernel takes it: an `Atomic<UInt32>` is four bytes.
    private var futexWord: UnsafeMutablePointer<UInt32> {
        UnsafeMutableRawPointer(word).assumingMemoryBound(to: UInt32.self)
    }
}

/// The name the rest of this module knows it by.
typealias Mutex<Value: ~Copyable> = FutexMutex<Value>
