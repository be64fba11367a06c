// SPDX-License-Identifier: Apache-2.0

import CLaboratory
import Glibc
import Laboratory
import MultiprocessingPrimitives
import Synchronization
import Testing

/// What the threads of a test tell one another.
private final class Signs: Sendable {
    let isInside = Atomic<Bool>(false)
    let mayLeave = Atomic<Bool>(false)
    let hasLeft = Atomic<Bool>(false)
    let thread = Atomic<Int32>(0)

    /// Stays where it is called until it may leave.
    func stay() {
        thread.store(laboratory_thread_id(), ordering: .relaxed)
        isInside.store(true, ordering: .releasing)
        while !mayLeave.load(ordering: .acquiring) { sched_yield() }
    }

    /// Starts a thread that calls `body`, and waits until it stays somewhere.
    func start(_ body: @escaping @Sendable () -> Void) throws {
        try Thread.start(name: "mp-test") {
            body()
            self.hasLeft.store(true, ordering: .releasing)
        }
        try waitFor("the other thread") { self.isInside.load(ordering: .acquiring) }
    }

    /// Lets it go on, and waits until it is through.
    func end() throws {
        mayLeave.store(true, ordering: .releasing)
        try waitFor("the other thread's end") { self.hasLeft.load(ordering: .acquiring) }
    }
}

private let signs = Signs()

/// A lazily made value whose making takes as long as `signs` says.
private let slow: Int = {
    signs.stay()
    return 7
}()

/// One of this program's own locks.
private let own = PlainMutex(ofProcess: 0)

/// A copy of this process, which ends at once with 0, or what keeps it from being made.
private func copy(besides known: [HeldLock] = []) throws -> HeldLock? {
    switch Fork.fork(besides: known) {
    case .held(let lock): return lock
    case .forked(0): _exit(0)
    case .forked(let pid):
        var status: Int32 = -1
        try require(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "the copy failed: \(pid), \(status)")
        return nil
    }
}

/// Copies until there is one: the runtime's own locks are held for a moment now and then.
private func copyAtLast() throws {
    try waitFor("a copy") { (try? copy()) == .some(nil) }
}

extension PrimitivesTests {
    /// Locks that other threads hold when a process is copied.
    @Suite(.timeLimit(.minutes(30))) struct HeldLockTests {
        @Test(arguments: [true, false])
        func `a process whose other thread holds a lock in static data is not copied until it is given back`(
            beginsAsZeros: Bool
        ) async throws {
            try await Laboratory.run {
                try signs.start {
                    laboratory_lock(beginsAsZeros)
                    signs.stay()
                    laboratory_unlock(beginsAsZeros)
                }
                let expected = HeldLock(
                    address: UInt(laboratory_lock_address(beginsAsZeros)),
                    thread: signs.thread.load(ordering: .relaxed)
                )
                for _ in 0..<3 {
                    let held = try copy()
                    try require(held == expected, "\(String(describing: held)) is held, not \(expected)")
                }
                try require(try copy(besides: [expected]) == nil, "a lock that does not count is counted")
                let other = HeldLock(address: expected.address, thread: expected.thread + 1)
                try require(try copy(besides: [other]) == expected, "a lock counts that somebody else holds")
                try signs.end()
                try copyAtLast()
            }
        }

        @Test func `a process whose other thread makes a lazy value is copied when it is there`() async throws {
            try await Laboratory.run {
                try signs.start { _ = slow }
                let held = try copy()
                try require(
                    held?.thread == signs.thread.load(ordering: .relaxed),
                    "\(String(describing: held)) is held"
                )
                try signs.end()
                try copyAtLast()
                try require(slow == 7, "it is not there")
            }
        }

        @Test func `a process whose other thread holds a lock of the process is not copied until it is given back`()
            async throws
        {
            try await Laboratory.run {
                try signs.start {
                    own.withLock { number in
                        signs.stay()
                        number += 1
                    }
                }
                let held = try copy()
                try require(held?.thread == 0, "\(String(describing: held)) is held")
                try signs.end()
                try copyAtLast()
                try require(own.withLock { $0 } == 1, "it protects nothing")
            }
        }

        @Test func `a lock that the copying thread holds itself does not count`() async throws {
            try await Laboratory.run {
                // Without another thread nobody would look.
                try signs.start { signs.stay() }
                for beginsAsZeros in [true, false] {
                    laboratory_lock(beginsAsZeros)
                    try copyAtLast()
                    laboratory_unlock(beginsAsZeros)
                }
                try signs.end()
            }
        }

        @Test func `a process with one thread is copied at once`() async throws {
            try await Laboratory.run {
                try require(try copy() == nil, "a lock is held")
            }
        }
    }
}
