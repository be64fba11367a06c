// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

extension Namespace {
    /// The value of a name that somebody has set.
    func find<Value: Codable & Sendable>(_ name: String, as type: Value.Type = Value.self) throws -> Value {
        guard let value = try get(name, as: type) else { throw CheckFailed(description: "no \(name)") }
        return value
    }
}

/// Breaks the connections of this process to other machines, or what it takes for them.
func breakNetworkConnections() -> Int {
    (3..<1024 as Range<Int32>).count { descriptor in
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isConnected = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getpeername(descriptor, $0, &size) == 0 }
        }
        guard isConnected, address.sin_family == AF_INET else { return false }
        return shutdown(descriptor, Int32(SHUT_RDWR)) == 0
    }
}

/// Returns when so many wait at a barrier.
private func wait(at barrier: ManagedBarrier, for count: Int) throws {
    while try barrier.waitingCount() < count { sched_yield() }
}

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct HostedPrimitivesTests {
    @Test(arguments: Way.allCases)
    func `clients share a queue that lives in a manager`(way: Way) async throws {
        try await isolated {
            let (manager, address) = try way.manager()
            let queue = try manager.hostedQueue(of: [Int?].self, capacity: 2)
            let answers = try manager.hostedQueue(of: String.self)
            try manager.names.set(queue, forName: "queue")
            try manager.names.set(answers, forName: "answers")
            let process = try startVisitor(address) { manager in
                let queue = try manager.names.find("queue", as: ManagedQueue<[Int?]>.self)
                let answers = try manager.names.find("answers", as: ManagedQueue<String>.self)
                do {
                    while true {
                        try answers.put("\(try queue.get())")
                        try queue.taskDone()
                    }
                } catch let error as QueueError { try checkEqual(error.code, .shutDown) }
                try answers.shutDown()
            }
            for number in 0..<100 { try queue.put([number, nil]) }
            try check(try queue.join(timeout: .seconds(60)))
            try queue.shutDown()
            for number in 0..<100 {
                try checkEqual(try answers.get(timeout: .seconds(60)), "[Optional(\(number)), nil]")
            }
            try checkEqual(try checkThrows(QueueError.self) { _ = try answers.get() }.code, .shutDown)
            try finish(process)
            try manager.shutdown()
        }
    }

    @Test(arguments: Way.allCases)
    func `clients share locks, semaphores, events, conditions and barriers`(way: Way) async throws {
        try await isolated {
            let (manager, address) = try way.manager()
            let names = manager.names
            let (lock, recursive) = (try manager.hostedLock(), try manager.hostedRecursiveLock())
            let (semaphore, event) = (try manager.hostedSemaphore(value: 0), try manager.hostedEvent())
            let (condition, tasks) = (try manager.hostedCondition(), try manager.list(of: Int.self))
            let rounds = try manager.host { 0 }
            let barrier = try manager.hostedBarrier(parties: 2) { try rounds.withValue { $0 += 1 } }
            try names.set(lock, forName: "lock")
            try names.set(recursive, forName: "recursive")
            try names.set(semaphore, forName: "semaphore")
            try names.set(event, forName: "event")
            try names.set(condition, forName: "condition")
            try names.set(tasks, forName: "tasks")
            try names.set(barrier, forName: "barrier")
            try lock.acquire()
            let process = try startVisitor(address) { manager in
                let names = manager.names
                let lock = try names.find("lock", as: ManagedLock.self)
                try check(try !lock.acquire(timeout: .zero))
                try check(try !lock.acquire(timeout: .milliseconds(20)))
                try names.find("semaphore", as: ManagedSemaphore.self).release(2)
                try check(try names.find("event", as: ManagedEvent.self).wait(timeout: .seconds(60)))
                try lock.withLock { try check(try lock.isLocked()) }
                let recursive = try names.find("recursive", as: ManagedRecursiveLock.self)
                try recursive.withLock { try recursive.withLock { try checkEqual(try recursive.count(), 2) } }
                let condition = try names.find("condition", as: ManagedCondition.self)
                let tasks = try names.find("tasks", as: ManagedList<Int>.self)
                let task = try condition.withLock {
                    try condition.wait { try tasks.count() > 0 }
                    return try tasks.popLast()
                }
                try checkEqual(task, 7)
                let barrier = try names.find("barrier", as: ManagedBarrier.self)
                for _ in 0..<10 { try check((0...1).contains(try barrier.wait(timeout: .seconds(60)))) }
                try barrier.abort()
            }
            try check(try semaphore.acquire(timeout: .seconds(60)))
            try check(try semaphore.acquire(timeout: .seconds(60)))
            try check(try !semaphore.acquire(timeout: .zero))
            try lock.release()
            try event.set()
            try condition.withLock {
                try tasks.append(7)
                try condition.notify()
            }
            for _ in 0..<10 { try check((0...1).contains(try barrier.wait(timeout: .seconds(60)))) }
            try checkEqual(try rounds.withValue { $0 }, 10)
            try finish(process)
            try check(try barrier.isBroken())
            let broken = try checkThrows(BrokenBarrier.self) { try barrier.wait() }
            try check(!broken.timedOut)
            try manager.shutdown()
        }
    }

    @Test func `mistakes are told, and change nothing`() async throws {
        try await isolated {
            let (manager, address) = try Way.tcp.manager()
            let process = try startVisitor(address) { manager in
                let lock = try manager.hostedLock()
                try checkEqual(try checkThrows(SynchronizationError.self) { try lock.release() }.code, .notOwner)
                try lock.acquire()
                let again = try checkThrows(SynchronizationError.self) { _ = try lock.acquire() }
                try checkEqual(again.code, .deadlock)
                let other = try onThreadAsync { try lock.release() }
                try checkEqual(try checkThrows(SynchronizationError.self) { try other.get() }.code, .notOwner)
                try lock.release()
                let condition = try manager.hostedCondition()
                for call in [{ _ = try condition.wait() }, { try condition.notify() }, { try condition.notifyAll() }] {
                    try checkEqual(try checkThrows(SynchronizationError.self, call).code, .notOwner)
                }
                let bounded = try manager.hostedBoundedSemaphore(value: 2)
                let over = try checkThrows(SynchronizationError.self) { try bounded.release() }
                try checkEqual(over.code, .tooManyReleases)
                try checkEqual(try bounded.withPermit { try bounded.value() }, 1)
                let none = try checkThrows(SynchronizationError.self) { try bounded.release(0) }
                try checkEqual(none.code, .invalidValue)
                let queue = try manager.hostedQueue(of: Int.self, capacity: 1)
                try checkEqual(try checkThrows(QueueError.self) { try queue.taskDone() }.code, .tooManyTasksDone)
                try check(try queue.tryPut(1))
                try check(try !queue.tryPut(2))
                _ = try checkThrows(TimeoutError.self) { try queue.put(2, timeout: .milliseconds(1)) }
                try check(try queue.isFull())
                try checkEqual(try queue.tryGet(), 1)
                try checkEqual(try queue.tryGet(), nil)
                _ = try checkThrows(TimeoutError.self) { _ = try queue.get(timeout: .milliseconds(1)) }
                let wrong = try checkThrows(QueueError.self) { _ = try manager.hostedQueue(of: Int.self, capacity: 0) }
                try checkEqual(wrong.code, .invalidCapacity)
                let barrier = try manager.hostedBarrier(parties: 2, timeout: .milliseconds(1))
                try check(try checkThrows(BrokenBarrier.self) { try barrier.wait() }.timedOut)
                try barrier.reset()
                try checkEqual(try barrier.parties(), 2)
            }
            try finish(process)
            try manager.shutdown()
        }
    }

    @Test func `what an action throws is told to the last party, and breaks the barrier`() async throws {
        try await isolated {
            let manager = try Manager()
            let barrier = try manager.hostedBarrier(parties: 1) { throw CheckFailed(description: "no") }
            try checkEqual(try checkThrows(CheckFailed.self) { try barrier.wait() }.description, "no")
            try check(try barrier.isBroken())
            try manager.shutdown()
        }
    }

    @Test func `those who wait cost the manager no threads, and keep nobody from it`() async throws {
        try await isolated {
            let (manager, address) = try Way.tcp.manager()
            let (barrier, queue) = (try manager.hostedBarrier(parties: 1000), try manager.hostedQueue(of: Int.self))
            let number = try manager.host { 0 }
            try manager.names.set(barrier, forName: "barrier")
            try manager.names.set(queue, forName: "queue")
            let waiting = try (0..<10).map { _ in
                try startVisitor(address) { manager in
                    let barrier = try manager.names.find("barrier", as: ManagedBarrier.self)
                    let queue = try manager.names.find("queue", as: ManagedQueue<Int>.self)
                    let threads = try (0..<10).map { _ in
                        try onThreadAsync { try checkThrows(BrokenBarrier.self) { try barrier.wait() } }
                    }
                    let others = try (0..<10).map { _ in try onThreadAsync { try queue.get() } }
                    for thread in threads { _ = try thread.get() }
                    for thread in others { _ = try thread.get() }
                }
            }
            try wait(at: barrier, for: 100)
            try checkEventually("a hundred who wait have threads") {
                Proc.entries("/proc/\(manager.processIdentifier)/task").count < 30
            }
            for element in 0..<100 {
                try queue.put(element)
                try number.withValue { $0 += 1 }
            }
            try checkEqual(try number.withValue { $0 }, 100)
            try barrier.abort()
            for process in waiting { try finish(process) }
            try check(try queue.isEmpty())
            try manager.shutdown()
        }
    }

    @Test func `a client whose connection breaks has lost its locks, and learns that`() async throws {
        try await isolated {
            let (manager, address) = try Way.tcp.manager()
            let (lock, ready) = (try manager.hostedLock(), try manager.hostedEvent())
            try manager.names.set(lock, forName: "lock")
            try manager.names.set(ready, forName: "ready")
            let process = try startVisitor(address) { manager in
                let lock = try manager.names.find("lock", as: ManagedLock.self)
                let ready = try manager.names.find("ready", as: ManagedEvent.self)
                try lock.acquire()
                try ready.set()
                // Another thread waits for somebody who will not come.
                let barrier = try manager.hostedBarrier(parties: 2)
                let waiting = try onThreadAsync { try managerLost { try barrier.wait() } }
                try wait(at: barrier, for: 1)
                try check(breakNetworkConnections() > 0)
                try checkEqual(try waiting.get().code, .disconnected)
                var refusal: SynchronizationError?
                // A call that comes before the end of the connection is known is lost too.
                while refusal == nil {
                    do { try lock.release() } catch let error as SynchronizationError {
                        refusal = error
                    } catch is ManagerLost {}
                }
                try checkEqual(refusal?.code, .notOwner)
            }
            try check(try ready.wait(timeout: .seconds(60)))
            let died = try checkThrows(OwnerDied.self) { try lock.acquire() }
            try checkEqual(died.processIdentifier, process.processIdentifier)
            try lock.withLock {}
            try finish(process)
            try manager.shutdown()
        }
    }

    @Test func `after a restart locks are free, queues empty, and those who waited lost`() async throws {
        try await isolated {
            let (manager, address) = try Way.tcp.manager(restart: .withFreshValues())
            let (lock, queue) = (try manager.hostedLock(), try manager.hostedQueue(of: Int.self))
            let ready = try Event()
            try queue.put(0)
            let process = try startVisitor(address) { manager in
                let barrier = try manager.hostedBarrier(parties: 2)
                let waiting = try onThreadAsync { try managerLost { try barrier.wait() } }
                try wait(at: barrier, for: 1)
                ready.set()
                try checkEqual(try waiting.get().code, .killed)
            }
            try check(try ready.wait(timeout: .seconds(60)))
            try lock.acquire()
            kill(manager.processIdentifier, SIGKILL)
            try finish(process)
            var isAcquired: Bool?
            while isAcquired == nil { isAcquired = try? lock.acquire(timeout: .seconds(60)) }
            try checkEqual(isAcquired, true)
            try check(try queue.isEmpty())
            try queue.put(1)
            try checkEqual(try queue.count(), 1)
            try manager.shutdown()
        }
    }

    @Test func `elements hold handles, and handles are values`() async throws {
        try await isolated {
            let (manager, address) = try Way.tcp.manager()
            let queues = try manager.hostedQueue(of: ManagedQueue<Int>.self)
            try manager.names.set(queues, forName: "queues")
            let process = try startVisitor(address) { manager in
                let queues = try manager.names.find("queues", as: ManagedQueue<ManagedQueue<Int>>.self)
                let own = try manager.hostedQueue(of: Int.self)
                try queues.put(own)
                try checkEqual(try own.get(timeout: .seconds(60)), 5)
                try check(own != queues.get(timeout: .seconds(60)))
            }
            let other = try manager.hostedQueue(of: Int.self)
            let own = try queues.get(timeout: .seconds(60))
            try queues.put(other)
            try own.put(5)
            try finish(process)
            try manager.shutdown()
        }
    }
}
