// SPDX-License-Identifier: Apache-2.0

public import CMultiprocessing
public import Synchronization

/// A value of this process and no other: made on first use, and made anew in a forked child.
///
/// What refers to threads (a thread that waits, a mutex another thread held at the time of the fork) is meaningless in the child, which has none of them. The child's value
/// is therefore a new one, and the parent's is left as it is, for good: nobody can say what state it is in.
@usableFromInline
package final class ForkLocal<Value: Sendable>: Sendable {
    /// A value with the generation of processes it belongs to.
    @usableFromInline
    package final class Box: Sendable {
        /// Counted by forks.
        @usableFromInline package let generation: UInt32
        /// The value.
        @usableFromInline package let value: Value

        init(generation: UInt32, value: Value) {
            self.generation = generation
            self.value = value
        }
    }

    /// The value of the process that asked last; a copy finds its parent's.
    @usableFromInline package let box = Atomic<Unmanaged<Box>?>(nil)
    private let make: @Sendable () -> Value

    /// Creates the place; `make` is called once in each process that asks for the value, and its result dropped where another thread was faster.
    package init(_ make: @escaping @Sendable () -> Value) {
        self.make = make
    }

    deinit {
        // Relaxed: nobody else is left. A value of the parent's is not this process's to end.
        guard let last = box.load(ordering: .relaxed) else { return }
        if last._withUnsafeGuaranteedRef({ $0.generation }) == mp_fork_generation() { last.release() }
    }

    /// This process's value.
    ///
    /// Inlinable up to where it is known, because many calls begin here: elsewhere it would be called through metadata.
    @inlinable
    package var value: Value {
        // Pairs with the release below.
        if let found = box.load(ordering: .acquiring), case let box = found._withUnsafeGuaranteedRef({ $0 }),
            box.generation == mp_fork_generation()
        {
            return box.value
        }
        return makeValue()
    }

    /// Makes this process's value, unless another thread is faster.
    @usableFromInline
    @inline(never)
    package func makeValue() -> Value {
        let generation = mp_fork_generation()
        // Pairs with the release below.
        var found = box.load(ordering: .acquiring)
        while true {
            if let found, case let box = found._withUnsafeGuaranteedRef({ $0 }), box.generation == generation {
                return box.value
            }
            let made = Unmanaged.passRetained(Box(generation: generation, value: make()))
            let result = box.compareExchange(expected: found, desired: made, ordering: .acquiringAndReleasing)
            if result.exchanged { return made._withUnsafeGuaranteedRef { $0.value } }
            made.release()
            found = result.original
        }
    }
}
