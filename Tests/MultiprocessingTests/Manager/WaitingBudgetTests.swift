// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Synchronization
import Testing

/// `#expect` for calls that change what they are made on.
private func expect(_ condition: Bool, sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(condition, sourceLocation: sourceLocation)
}

/// How many calls a thread has sent.
private final class Count: Sendable {
    let value = Atomic<Int>(0)

    /// Blocks until there are so many.
    func wait(for count: Int) {
        while value.load(ordering: .relaxed) < count { usleep(1000) }
    }
}

/// What a client can have waiting in a manager for values that are busy.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct WaitingBudgetTests {
    // MARK: - The state machine

    @Test func `a client is not read from while too many of its calls wait`() {
        var flow = SessionFlow<Int>(budget: WaitingBudget(calls: 16, bytes: 1000))
        for _ in 0..<18 { flow.noteWaiting(bytes: 1) }
        expect(!flow.park() && !flow.beginsLookout())
        flow.noteWaiting(bytes: 1)
        expect(flow.mustPark && flow.park())
        // Not for each call that is made.
        expect(!flow.noteTurn(bytes: 1) && !flow.noteTurn(bytes: 1))
        expect(flow.noteTurn(bytes: 1))
        expect(!flow.noteTurn(bytes: 1))
        expect(!flow.park())
        // Bytes count as well; a single request may have any number of them.
        flow.noteWaiting(bytes: 5000)
        expect(flow.park())
        expect(flow.noteTurn(bytes: 5000))
        expect(!flow.park())
    }

    @Test func `a call whose turn comes before it was counted is counted right`() {
        var flow = SessionFlow<Int>(budget: WaitingBudget(calls: 0, bytes: 1000))
        expect(!flow.noteTurn(bytes: 10))
        flow.noteWaiting(bytes: 10)
        expect(!flow.park())
        flow.noteWaiting(bytes: 10)
        expect(flow.park())
        expect(flow.noteTurn(bytes: 10))
    }

    @Test func `who is parked for both reasons goes on once, and looks again`() {
        var flow = SessionFlow<Int>(budget: WaitingBudget(calls: 1, bytes: 1000))
        for _ in 0..<2 { flow.noteWaiting(bytes: 1) }
        expect(flow.park() && flow.beginsLookout())
        expect(flow.add(1))
        expect(!flow.noteTurn(bytes: 1))
        guard case .send(1) = flow.next() else { return expect(Bool(false)) }
        guard case .done(resumesReading: true) = flow.next() else { return expect(Bool(false)) }
        expect(!flow.park())
        // The backlog first, while the calls wait on: the next reader parks.
        flow.noteWaiting(bytes: 1)
        expect(flow.park())
        expect(flow.add(2))
        guard case .send(2) = flow.next() else { return expect(Bool(false)) }
        guard case .done(resumesReading: true) = flow.next() else { return expect(Bool(false)) }
        expect(flow.park())
        expect(flow.noteTurn(bytes: 1))
    }

    @Test func `somebody looks after a parked client, and lets a reader find its end`() {
        var flow = SessionFlow<Int>(budget: WaitingBudget(calls: 0, bytes: 1000))
        flow.noteWaiting(bytes: 1)
        expect(flow.park() && flow.beginsLookout() && !flow.beginsLookout())
        guard case .again = flow.lookOut(clientIsGone: false) else { return expect(Bool(false)) }
        expect(flow.noteTurn(bytes: 1))
        guard case .over = flow.lookOut(clientIsGone: false) else { return expect(Bool(false)) }
        flow.noteWaiting(bytes: 1)
        expect(flow.park() && flow.beginsLookout())
        guard case .resumesReading = flow.lookOut(clientIsGone: true) else { return expect(Bool(false)) }
        // What has come is read to its end.
        expect(!flow.park())
        expect(!flow.noteTurn(bytes: 1))
    }

    // MARK: - In a manager

    /// More than may wait.
    private static let large = [UInt8](repeating: 1, count: 1 << 20)
    /// How many of those the manager takes before it stops to read.
    private static let most = 72

    @Test func `what is more than may wait comes in as calls are made`() async throws {
        try await isolated {
            let manager = try Manager()
            let total = try manager.host { 0 }
            let (entered, gate) = (try Event(), try Event())
            let first = try total.withValueAsync { _ in
                entered.set()
                _ = try gate.wait(timeout: .seconds(120))
            }
            try check(try entered.wait(timeout: .seconds(60)))
            let sent = Count()
            let sending = try onThreadAsync {
                for _ in 0..<200 {
                    _ = try total.withValueAsync(with: Self.large) { $0 += $1.count }
                    sent.value.add(1, ordering: .relaxed)
                }
            }
            sent.wait(for: Self.most)
            // Time to send all of them. What is on its way has room for some beyond those that wait.
            sleep(1)
            try check(sent.value.load(ordering: .relaxed) < 100)
            gate.set()
            try sending.get()
            try first.get()
            try checkEqual(try total.withValue { $0 }, 200 << 20)
            try manager.shutdown()
        }
    }

    @Test func `a client that is not read from passes on what it has when it is killed`() async throws {
        try await isolated {
            let (manager, address) = try Way.unix.manager()
            let (lock, stuck) = (try manager.hostedLock(), try manager.host { 0 })
            try manager.names.set(lock, forName: "lock")
            try manager.names.set(stuck, forName: "stuck")
            let (entered, gate) = (try Event(), try Event())
            let first = try stuck.withValueAsync { _ in
                entered.set()
                _ = try gate.wait(timeout: .seconds(120))
            }
            try check(try entered.wait(timeout: .seconds(60)))
            let (here, there) = try Connection.pipe()
            let holder = try startVisitor(address) { manager in
                try manager.names.find("lock", as: ManagedLock.self).acquire()
                let stuck = try manager.names.find("stuck", as: Managed<Int>.self)
                for number in 1... {
                    _ = try stuck.withValueAsync(with: Self.large) { $0 += $1.count }
                    try there.send(number)
                }
            }
            there.close()
            while try here.receive(Int.self) < Self.most {}
            try holder.kill()
            try holder.join()
            try holder.close()
            // While its calls wait on.
            _ = try checkThrows(OwnerDied.self) { try lock.acquire(timeout: .seconds(60)) }
            try check(!first.isReady)
            gate.set()
            try first.get()
            try manager.shutdown()
        }
    }

    @Test func `a manager that does not read from its owner ends when it is shut down`() async throws {
        try await isolated {
            let manager = try Manager()
            let stuck = try manager.host { 0 }
            _ = try stuck.withValueAsync { _ in while true { pause() } }
            let sent = Count()
            let sending = try onThreadAsync {
                while true {
                    _ = try stuck.withValueAsync(with: Self.large) { $0 += $1.count }
                    sent.value.add(1, ordering: .relaxed)
                }
            }
            sent.wait(for: Self.most)
            try manager.shutdown()
            try checkEqual(try managerLost { try sending.get() }.code, .shutDown)
        }
    }
}
