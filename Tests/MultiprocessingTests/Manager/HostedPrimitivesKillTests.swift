// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// Clients that are killed at random moments, with locks, in waits, and with elements.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct HostedPrimitivesKillTests {
    private static let rounds = 15

    /// Starts `count` clients, kills them at random moments when half of them are at work, and waits until the manager has noticed that they are gone.
    private static func killClients(
        _ count: Int,
        of manager: Manager,
        at address: Address,
        _ generator: inout Seeded,
        _ body: @escaping @Sendable (Manager) throws -> Void
    ) throws {
        var (witness, news): (Managed<Witness>?, Connection) = try makeWitness(manager)
        if let witness { try manager.names.set(witness, forName: "witness") }
        let started = try manager.hostedSemaphore(value: 0)
        try manager.names.set(started, forName: "started")
        let processes = try (0..<count).map { _ in
            try startVisitor(address) { manager in
                // What a client has is given up when it is gone, and this last.
                let witness = try manager.names.find("witness", as: Managed<Witness>.self)
                try manager.names.find("started", as: ManagedSemaphore.self).release()
                try body(manager)
                withExtendedLifetime(witness) {}
            }
        }
        for _ in 0..<count / 2 { try check(try started.acquire(timeout: .seconds(60))) }
        for process in processes {
            usleep(UInt32.random(in: 0..<8000, using: &generator))
            try process.kill()
        }
        for process in processes {
            try process.join()
            try checkEqual(process.exitStatus, .signaled(.kill))
            try process.close()
        }
        try manager.names.remove("witness")
        witness = nil
        try checkEqual(try news.receive(String.self, timeout: .seconds(60)), "gone")
    }

    @Test(arguments: Way.allCases)
    func `a lock passes on when its holder is killed that has a fork alive`(way: Way) async throws {
        try await isolated {
            let (manager, address) = try way.manager()
            let lock = try manager.hostedLock()
            try manager.names.set(lock, forName: "lock")
            let (here, there) = try Connection.pipe()
            let holder = try startVisitor(address) { manager in
                try manager.names.find("lock", as: ManagedLock.self).acquire()
                let copy = ChildProcess(daemon: false, startMethod: .fork) { while true { pause() } }
                try copy.start()
                try there.send(copy.processIdentifier ?? 0)
                while true { pause() }
            }
            let copy = try here.receive(Int32.self, timeout: .seconds(60))
            try holder.kill()
            try holder.join()
            try holder.close()
            _ = try checkThrows(OwnerDied.self) { try lock.acquire(timeout: .seconds(60)) }
            try checkEqual(kill(copy, SIGKILL), 0)
            try manager.shutdown()
        }
    }

    @Test(arguments: Way.allCases)
    func `a fork has no answers of its parent's calls`(way: Way) async throws {
        try await isolated {
            let (owner, address) = try way.manager()
            let manager = try Manager.connect(to: address, authenticationKey: "key")
            let value = try manager.host { 1 }
            let gate = try Event()
            let result = try value.withValueAsync { value in
                _ = try gate.wait(timeout: .seconds(60))
                value += 1
            }
            let copy = ChildProcess(startMethod: .fork) {
                try check(!result.isReady)
                try checkEqual(try checkThrows(ManagerError.self) { try result.get() }.code, .otherProcess)
                // Calls of its own go their own way.
                try checkEqual(try manager.host { 3 }.withValue { $0 }, 3)
            }
            try copy.start()
            try copy.join()
            try checkEqual(copy.exitCode, 0)
            try copy.close()
            gate.set()
            try result.get()
            try checkEqual(try value.withValue { $0 }, 2)
            try owner.shutdown()
        }
    }

    @Test(arguments: Way.allCases)
    func `a lock passes on whenever its holder is killed, which is told once`(way: Way) async throws {
        try await isolated {
            var generator = Seeded(seed: 11)
            let (manager, address) = try way.manager()
            let lock = try manager.hostedLock()
            let (first, second) = (try manager.host { 0 }, try manager.host { 0 })
            let entries = try manager.host { 0 }
            try manager.names.set(lock, forName: "lock")
            for (name, value) in [("first", first), ("second", second), ("entries", entries)] {
                try manager.names.set(value, forName: name)
            }
            for _ in 0..<Self.rounds {
                try Self.killClients(10, of: manager, at: address, &generator) { manager in
                    let lock = try manager.names.find("lock", as: ManagedLock.self)
                    let first = try manager.names.find("first", as: Managed<Int>.self)
                    let second = try manager.names.find("second", as: Managed<Int>.self)
                    let entries = try manager.names.find("entries", as: Managed<Int>.self)
                    while true {
                        do {
                            try lock.withLock {
                                // What one who died here left half done is mended by whoever comes next, told or not.
                                let number = try first.withValue { $0 }
                                try second.withValue(with: number) { $0 = $1 }
                                try first.withValue(with: number + 1) { $0 = $1 }
                                // Nobody else was here meanwhile.
                                guard try second.withValue({ $0 }) == number else { exit(9) }
                                try second.withValue(with: number + 1) { $0 = $1 }
                                guard try first.withValue({ $0 }) == number + 1 else { exit(9) }
                                try entries.withValue { $0 += 1 }
                            }
                        } catch is OwnerDied {}
                    }
                }
                // Nobody is left who could have it.
                var deaths = 0
                while true {
                    do {
                        try check(try lock.acquire(timeout: .seconds(60)))
                        break
                    } catch is OwnerDied { deaths += 1 }
                }
                try check(deaths <= 1)
                try lock.release()
            }
            try check(try entries.withValue { $0 } > 0, "nobody came in")
            try manager.shutdown()
        }
    }

    @Test(arguments: Way.allCases)
    func `a consumer that is killed takes one element at most, and nobody else's`(way: Way) async throws {
        try await isolated {
            var generator = Seeded(seed: 12)
            let (manager, address) = try way.manager()
            let queue = try manager.hostedQueue(of: Int.self, capacity: 4)
            let taken = try manager.list(of: Int.self)
            try manager.names.set(queue, forName: "queue")
            try manager.names.set(taken, forName: "taken")
            var next = 0
            for _ in 0..<Self.rounds {
                let (start, isOver) = (next, try Event())
                let putting = try onThreadAsync {
                    var number = start
                    while !isOver.isSet {
                        do {
                            try queue.put(number, timeout: .milliseconds(20))
                            number += 1
                        } catch is TimeoutError {}
                    }
                    return number
                }
                try Self.killClients(10, of: manager, at: address, &generator) { manager in
                    let queue = try manager.names.find("queue", as: ManagedQueue<Int>.self)
                    let taken = try manager.names.find("taken", as: ManagedList<Int>.self)
                    while true { try taken.append(try queue.get()) }
                }
                isOver.set()
                next = try putting.get()
                var found = try taken.value()
                while let element = try queue.tryGet() { found.append(element) }
                try check(found.allSatisfy { $0 >= start && $0 < next })
                try checkEqual(Set(found).count, found.count)
                // With each that was killed went the one that it had taken, if it had.
                try check(found.count >= next - start - 10, "\(next - start - found.count) are lost")
                try taken.removeAll()
            }
            try check(next > 0, "nothing was put")
            try manager.shutdown()
        }
    }

    @Test(arguments: Way.allCases)
    func `those who are killed while they wait keep nobody else waiting`(way: Way) async throws {
        try await isolated {
            var generator = Seeded(seed: 13)
            let (manager, address) = try way.manager()
            let (lock, condition) = (try manager.hostedLock(), try manager.hostedCondition())
            let (semaphore, event) = (try manager.hostedSemaphore(value: 0), try manager.hostedEvent())
            let queue = try manager.hostedQueue(of: Int.self)
            let arrived = try manager.hostedSemaphore(value: 0)
            let names = manager.names
            try names.set(lock, forName: "lock")
            try names.set(condition, forName: "condition")
            try names.set(semaphore, forName: "semaphore")
            try names.set(event, forName: "event")
            try names.set(queue, forName: "queue")
            try names.set(arrived, forName: "arrived")
            let waits: @Sendable (Manager) throws -> Void = { manager in
                let names = manager.names
                let lock = try names.find("lock", as: ManagedLock.self)
                let condition = try names.find("condition", as: ManagedCondition.self)
                let semaphore = try names.find("semaphore", as: ManagedSemaphore.self)
                let event = try names.find("event", as: ManagedEvent.self)
                let queue = try names.find("queue", as: ManagedQueue<Int>.self)
                let threads = [
                    try onThreadAsync { try lock.withLock {} },
                    try onThreadAsync { try Self.wait(condition) },
                    try onThreadAsync { _ = try semaphore.acquire() }, try onThreadAsync { _ = try event.wait() },
                    try onThreadAsync { _ = try queue.get() },
                ]
                try names.find("arrived", as: ManagedSemaphore.self).release()
                for thread in threads { try thread.get() }
            }
            for _ in 0..<Self.rounds {
                try lock.acquire()
                let survivor = try startVisitor(address, waits)
                try Self.killClients(8, of: manager, at: address, &generator, waits)
                try check(try arrived.acquire(timeout: .seconds(60)))
                while try arrived.acquire(timeout: .zero) {}
                // One of each is enough for the one that is left; notifications go to those who wait already.
                try lock.release()
                try semaphore.release()
                try event.set()
                try queue.put(1)
                while try survivor.exitStatus == nil && !survivor.join(timeout: .milliseconds(5)) {
                    try Self.notify(condition)
                }
                try checkEqual(survivor.exitCode, 0)
                try survivor.close()
                try checkEqual(try semaphore.value(), 0)
                try check(try queue.isEmpty())
                try event.clear()
            }
            try manager.shutdown()
        }
    }

    /// Waits for a notification; a death of one that had the condition's lock is nothing here.
    private static func wait(_ condition: ManagedCondition) throws {
        while true {
            do { return try condition.withLock { _ = try condition.wait() } } catch is OwnerDied {}
        }
    }

    /// Notifies all who wait; a death of one that had the condition's lock is nothing here.
    private static func notify(_ condition: ManagedCondition) throws {
        while true {
            do { return try condition.withLock { try condition.notifyAll() } } catch is OwnerDied {}
        }
    }

    @Test(arguments: Way.allCases)
    func `a party that is killed while it waits breaks the barrier for the others`(way: Way) async throws {
        try await isolated {
            var generator = Seeded(seed: 14)
            let (manager, address) = try way.manager()
            let barrier = try manager.hostedBarrier(parties: 3)
            try manager.names.set(barrier, forName: "barrier")
            for _ in 0..<Self.rounds {
                try Self.killClients(2, of: manager, at: address, &generator) { manager in
                    let barrier = try manager.names.find("barrier", as: ManagedBarrier.self)
                    while true {
                        do { _ = try barrier.wait() } catch is BrokenBarrier { try barrier.reset() }
                    }
                }
                // All of them are gone, and none of them counts.
                try barrier.reset()
                try checkEqual(try barrier.waitingCount(), 0)
            }
            try manager.shutdown()
        }
    }
}
