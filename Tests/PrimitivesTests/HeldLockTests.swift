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

/// The thread that waits for what another one makes.
private let waiter = Atomic<Int32>(-1)

/// Whether a thread of this process is asleep.
private func isAsleep(_ thread: Int32) -> Bool {
    let lines = try? Laboratory.lines(of: "/proc/self/task/\(thread)/status")
    return lines?.contains { $0.hasPrefix("State:\tS") } == true
}

/// A lazily made value whose making takes as long as `signs` says.
private let slow: Int = {
    signs.stay()
    return 7
}()

/// One of this program's own locks.
private let own = PlainMutex(ofProcess: 0)

/// Makes a copy of this process, which ends at once with 0, or returns what keeps it from being made.
private func copy(besides known: [HeldLock] = []) throws -> [HeldLock] {
    switch Fork.fork(besides: known) {
    case .held(let locks): return locks
    case .forked(0): _exit(0)
    case .forked(let pid):
        var status: Int32 = -1
        try require(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "the copy failed: \(pid), \(status)")
        return []
    }
}

/// Copies until there is one: the runtime's own locks are held for a moment now and then.
private func copyAtLast() throws {
    try waitFor("a copy") { (try? copy()) == [] }
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
                    try require(held == [expected], "\(held) are held, not \(expected)")
                }
                try require(try copy(besides: [expected]) == [], "a lock that does not count is counted")
                let other = HeldLock(address: expected.address, thread: expected.thread + 1)
                try require(try copy(besides: [other]) == [expected], "one does not count that somebody else holds")
                try signs.end()
                try copyAtLast()
            }
        }

        @Test func `a process whose other thread makes a lazy value is copied when it is there`() async throws {
            try await Laboratory.run {
                try signs.start { _ = slow }
                let maker = signs.thread.load(ordering: .relaxed)
                let held = try copy()
                try require(held.map(\.thread) == [maker], "\(held) are held")
                // Then the kernel notes in the lock that somebody waits.
                try Thread.start(name: "mp-test") {
                    waiter.store(laboratory_thread_id(), ordering: .releasing)
                    _ = slow
                    waiter.store(0, ordering: .releasing)
                }
                try waitFor("somebody who waits") { isAsleep(waiter.load(ordering: .acquiring)) }
                try require(try copy() == held, "it is not held when somebody waits for it")
                try signs.end()
                try waitFor("the waiter's end") { waiter.load(ordering: .acquiring) == 0 }
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
                try require(held.map(\.thread) == [0], "\(held) are held")
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

        @Test func `a held lock is seen though others wait for a condition with it, and all that are held are told`()
            async throws
        {
            try await Laboratory.run {
                let done = SharedWord(.allocate(capacity: 1))
                done.initialize(0)
                try Thread.start(name: "mp-test") {
                    laboratory_wait(true)
                    done.store(1)
                }
                try waitFor("the waiter") { laboratory_is_waited_for(true) }
                try copyAtLast()
                try signs.start {
                    laboratory_lock(true)
                    laboratory_lock(false)
                    signs.stay()
                    laboratory_unlock(false)
                    laboratory_unlock(true)
                }
                let addresses = Set([true, false].map { UInt(laboratory_lock_address($0)) })
                let held = try copy()
                try require(Set(held.map(\.address)) == addresses, "\(held) are held, not \(addresses)")
                try signs.end()
                laboratory_signal(true)
                try waitFor("the waiter's end") { done.load() == 1 }
                try copyAtLast()
            }
        }

        @Test func `a page of static data that cannot be read does not disturb`() async throws {
            try await Laboratory.run {
                try signs.start {
                    laboratory_lock(true)
                    signs.stay()
                    laboratory_unlock(true)
                }
                try require(laboratory_protect_page(true) == 0, "the page cannot be protected")
                let held = try copy()
                try require(held.map(\.address) == [UInt(laboratory_lock_address(true))], "\(held) are held")
                try signs.end()
                try copyAtLast()
                try require(laboratory_protect_page(false) == 0, "the page is not there any more")
            }
        }

        @Test func `a process with one thread is copied at once`() async throws {
            try await Laboratory.run {
                try require(try copy() == [], "a lock is held")
            }
        }
    }
}
