// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Testing

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct BarrierTests {
    @Test func `all parties pass together, each with its own place, and one of them runs the action`() throws {
        let places = try SharedArray<Int>(count: 30)
        let actions = try SharedAtomic(0)
        let barrier = try Barrier(parties: 3) { actions.add(1) }
        let children = (0..<2).map { _ in ChildProcess { try pass(barrier, places) } }
        for child in children { try child.start() }
        try pass(barrier, places)
        for child in children { try child.join() }
        #expect(Array(places) == Array(repeating: 1, count: 30))
        #expect(actions.load() == 10)
        #expect("\(barrier)" == "Barrier(waiting: 0 of 3)")
    }

    @Test func `a timeout breaks the barrier for all until it is reset`() throws {
        let barrier = try Barrier(parties: 2)
        #expect { try barrier.wait(timeout: .zero) } throws: { ($0 as? BrokenBarrier)?.timedOut == true }
        #expect(barrier.isBroken && "\(barrier)" == "Barrier(broken, parties: 2)")
        #expect { try barrier.wait() } throws: { ($0 as? BrokenBarrier)?.timedOut == false }
        barrier.reset()
        #expect(!barrier.isBroken)
        #expect(throws: BrokenBarrier.self) { try barrier.wait(timeout: .milliseconds(5)) }
    }

    @Test func `a barrier's own timeout holds where a call gives none`() throws {
        let barrier = try copy(try Barrier(parties: 2, timeout: .milliseconds(5)))
        #expect { try barrier.wait() } throws: { ($0 as? BrokenBarrier)?.timedOut == true }
    }

    @Test(arguments: [true, false]) func `abort and reset release those who wait with an error`(abort: Bool) throws {
        let barrier = try Barrier(parties: 2)
        let child = ChildProcess { _ = try checkThrows(BrokenBarrier.self) { try barrier.wait() } }
        try child.start()
        while barrier.waitingCount == 0 {}
        if abort { barrier.abort() } else { barrier.reset() }
        try child.join()
        #expect(child.exitCode == 0)
        #expect(barrier.isBroken == abort)
    }

    @Test(arguments: [true, false])
    func `tasks abort and reset a barrier, and wait for its action without a thread`(abort: Bool) async throws {
        let idle = try Barrier(parties: 2)
        let party = Task { try await idle.wait() }
        while idle.waitingCount == 0 { await Task.yield() }
        if abort { try await idle.abort() } else { try await idle.reset() }
        await #expect(throws: BrokenBarrier.self) { try await party.value }
        #expect(idle.isBroken == abort)

        let (running, goOn) = (try Event(), try Event())
        let barrier = try Barrier(parties: 1) {
            running.set()
            try goOn.wait()
        }
        let other = Task { try await barrier.wait() }
        try await running.wait()
        // Cancelled before it can have begun: it is done all the same.
        let change = Task { if abort { try await barrier.abort() } else { try await barrier.reset() } }
        change.cancel()
        goOn.set()
        #expect(try await other.value == 0)
        try await change.value
        #expect(barrier.isBroken == abort)
    }

    @Test func `an action that throws breaks the barrier`() throws {
        let isFaulty = try SharedValue(true)
        let barrier = try Barrier(parties: 1) { if isFaulty.value { throw TestFailure() } }
        #expect(throws: TestFailure.self) { try barrier.wait() }
        #expect(barrier.isBroken)
        barrier.reset()
        isFaulty.value = false
        #expect(try barrier.wait() == 0)
    }

    @Test func `a party that is killed while it waits has arrived`() throws {
        let barrier = try Barrier(parties: 2)
        let child = ChildProcess { try barrier.wait() }
        try child.start()
        while barrier.waitingCount == 0 {}
        try child.kill()
        try child.join()
        #expect(try barrier.wait(timeout: .seconds(60)) == 1)
    }

    @Test func `a party that is killed in the action breaks the barrier`() throws {
        let reached = try Event()
        let barrier = try Barrier(parties: 2) {
            reached.set()
            while true {}
        }
        let child = ChildProcess {
            while barrier.waitingCount == 0 {}
            try barrier.wait()
        }
        try child.start()
        let result = try onThreadAsync { try barrier.wait(timeout: .seconds(60)) }
        #expect(try reached.wait(timeout: .seconds(60)))
        try child.kill()
        #expect { try result.get() } throws: { ($0 as? BrokenBarrier)?.timedOut == false }
        try child.join()
    }

    @Test func `a cancelled task breaks the barrier`() async throws {
        let barrier = try Barrier(parties: 2)
        let task = Task { try await barrier.wait() }
        while barrier.waitingCount == 0 { await Task.yield() }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(barrier.isBroken)
    }

    @Test func `a barrier has at least one party`() {
        #expect(throws: SynchronizationError.self) { try Barrier(parties: 0) }
        #expect(throws: SynchronizationError.self) { try Barrier(parties: -1) }
    }
}

/// Ten rounds; each place of each round is taken once.
private func pass(_ barrier: Barrier, _ places: SharedArray<Int>) throws {
    for round in 0..<10 {
        let place = try barrier.wait(timeout: .seconds(60))
        places[3 * round + place] += 1
    }
}
