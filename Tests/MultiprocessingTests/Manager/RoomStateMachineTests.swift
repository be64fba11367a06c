// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Testing

/// `#expect` for calls that change what they are made on.
private func expect<T: Equatable>(_ actual: T, _ expected: T, sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(actual == expected, sourceLocation: sourceLocation)
}

/// What calls were answered, each as its client, its number and the answer.
func told<Element>(_ answers: [(Ticket, RoomAnswer<Element>)]) -> [String] {
    answers.map { ticket, answer in
        let words =
            switch answer {
            case .refused(let refusal): "\(refusal)"
            case .element(let element): "\(element)"
            case .number(let number): "#\(number)"
            case .ownerDied(let process): "died \(process)"
            case .failed: "failed"
            case .done, .timedOut, .cancelled: "\(answer)"
            }
        return "\(ticket.client).\(ticket.call) \(words)"
    }
}

/// A call of a client, as 2.01 stands for call 1 of client 2 here.
private func call(_ client: UInt64, _ number: UInt64) -> Ticket { Ticket(client: client, call: number) }

private func holder(_ client: UInt64, _ token: UInt64 = 1) -> LockRoom.Holder {
    LockRoom.Holder(client: client, token: token, process: Int32(client) * 100)
}

@Suite(.leavesNothing)
struct RoomStateMachineTests {
    // MARK: - Lock

    @Test func `a lock is handed on in order, and only by its owner`() {
        var lock = LockRoom(isRecursive: false)
        for client in 1...3 as ClosedRange<UInt64> { lock.acquire(call(client, 1), holder(client)) }
        expect(told(lock.takeAnswers()), ["1.1 done"])
        lock.release(call(2, 2), holder(2))
        lock.release(call(1, 2), holder(1, 2))
        expect(told(lock.takeAnswers()), ["2.2 notOwner", "1.2 notOwner"])
        lock.release(call(1, 3), holder(1))
        expect(told(lock.takeAnswers()), ["1.3 done", "2.1 done"])
        lock.acquire(call(2, 4), holder(2))
        expect(told(lock.takeAnswers()), ["2.4 deadlock"])
        // With a time it waits for itself, and behind the others.
        lock.acquire(call(2, 5), holder(2), isPatient: false)
        lock.withdraw(call(2, 5), because: .timedOut)
        lock.withdraw(call(3, 1), because: .cancelled)
        lock.withdraw(call(2, 1), because: .timedOut)
        expect(told(lock.takeAnswers()), ["2.5 timedOut", "3.1 cancelled"])
        lock.look(call(1, 9))
        lock.release(call(2, 6), holder(2))
        lock.look(call(1, 10))
        expect(told(lock.takeAnswers()), ["1.9 #1", "2.6 done", "1.10 #0"])
    }

    @Test func `a recursive lock is free when it was released as often as it was acquired`() {
        var lock = LockRoom(isRecursive: true)
        lock.acquire(call(1, 1), holder(1))
        lock.acquire(call(1, 2), holder(1))
        lock.acquire(call(1, 3), holder(1, 2))
        lock.look(call(1, 4))
        lock.release(call(1, 5), holder(1))
        expect(told(lock.takeAnswers()), ["1.1 done", "1.2 done", "1.4 #2", "1.5 done"])
        lock.release(call(1, 6), holder(1))
        expect(told(lock.takeAnswers()), ["1.6 done", "1.3 done"])
    }

    @Test func `the death of an owner is told once, and taken as told by who recovers`() {
        var lock = LockRoom(isRecursive: false)
        for client in 1...3 as ClosedRange<UInt64> { lock.acquire(call(client, 1), holder(client)) }
        lock.leave(client: 1)
        expect(told(lock.takeAnswers()), ["1.1 done", "2.1 died 100", "3.1 done"])
        // Nobody waits: the next one is told.
        lock.leave(client: 3)
        expect(told(lock.takeAnswers()), [])
        lock.acquire(call(2, 2), holder(2))
        lock.acquire(call(2, 3), holder(2))
        expect(told(lock.takeAnswers()), ["2.2 died 300", "2.3 done"])
        lock.leave(client: 2)
        lock.acquire(call(4, 1), holder(4), recovers: true)
        lock.release(call(4, 2), holder(4))
        lock.acquire(call(4, 3), holder(4))
        expect(told(lock.takeAnswers()), ["4.1 done", "4.2 done", "4.3 done"])
        // Who waits and goes takes nothing with it.
        lock.acquire(call(5, 1), holder(5))
        lock.acquire(call(6, 1), holder(6))
        lock.leave(client: 5)
        lock.release(call(4, 4), holder(4))
        expect(told(lock.takeAnswers()), ["4.4 done", "6.1 done"])
    }

    // MARK: - Condition

    @Test func `who waits for a notification gives the lock up, and goes on when it has it again as often`() {
        var lock = LockRoom(isRecursive: true)
        lock.wait(call(1, 1), holder(1))
        lock.notify(1, call(1, 2), holder(1))
        expect(told(lock.takeAnswers()), ["1.1 notOwner", "1.2 notOwner"])
        lock.acquire(call(1, 3), holder(1))
        lock.acquire(call(1, 4), holder(1))
        lock.wait(call(1, 5), holder(1))
        lock.acquire(call(2, 1), holder(2))
        lock.notify(1, call(2, 2), holder(2))
        expect(told(lock.takeAnswers()), ["1.3 done", "1.4 done", "2.1 done", "2.2 done"])
        // Too late to be withdrawn: it was notified.
        lock.withdraw(call(1, 5), because: .timedOut)
        lock.release(call(2, 3), holder(2))
        lock.look(call(2, 4))
        expect(told(lock.takeAnswers()), ["2.3 done", "1.5 done", "2.4 #2"])
    }

    @Test func `a wait that is too late or cancelled ends with the lock`() {
        var lock = LockRoom(isRecursive: true)
        for (number, reason) in [RoomWithdrawal.timedOut, .cancelled].enumerated() {
            let number = UInt64(number * 10)
            lock.acquire(call(1, number), holder(1))
            lock.wait(call(1, number + 1), holder(1))
            lock.acquire(call(2, number), holder(2))
            _ = lock.takeAnswers()
            lock.withdraw(call(1, number + 1), because: reason)
            expect(told(lock.takeAnswers()), [])
            lock.release(call(2, number + 1), holder(2))
            expect(told(lock.takeAnswers()), ["2.\(number + 1) done", "1.\(number + 1) \(reason)"])
            lock.release(call(1, number + 2), holder(1))
            expect(told(lock.takeAnswers()), ["1.\(number + 2) done"])
        }
    }

    @Test func `a notification for one that is gone goes to the next, and a death is told to who goes on`() {
        var lock = LockRoom(isRecursive: true)
        for client in 1...3 as ClosedRange<UInt64> {
            lock.acquire(call(client, 1), holder(client))
            lock.wait(call(client, 2), holder(client))
        }
        lock.acquire(call(4, 1), holder(4))
        lock.notify(1, call(4, 2), holder(4))
        _ = lock.takeAnswers()
        lock.leave(client: 1)
        lock.leave(client: 4)
        // Client 2 has the notification of client 1, and the lock, and learns of the death of client 4.
        expect(told(lock.takeAnswers()), ["2.2 died 400"])
        lock.release(call(2, 3), holder(2))
        expect(told(lock.takeAnswers()), ["2.3 done"])
        lock.acquire(call(5, 1), holder(5))
        lock.notify(nil, call(5, 2), holder(5))
        lock.leave(client: 3)
        lock.release(call(5, 3), holder(5))
        expect(told(lock.takeAnswers()), ["5.1 done", "5.2 done", "5.3 done"])
    }

    // MARK: - Semaphore and event

    @Test func `permits go to those who wait, in order, and never beyond the maximum`() {
        var semaphore = SemaphoreRoom(value: 1, maximum: 2)
        for client in 1...4 as ClosedRange<UInt64> { semaphore.acquire(call(client, 1)) }
        semaphore.leave(client: 2)
        semaphore.withdraw(call(3, 1), because: .timedOut)
        semaphore.withdraw(call(1, 1), because: .timedOut)
        expect(told(semaphore.takeAnswers()), ["1.1 done", "3.1 timedOut"])
        semaphore.release(3, call(1, 2))
        semaphore.release(0, call(1, 3))
        semaphore.release(2, call(1, 4))
        semaphore.release(2, call(1, 5))
        semaphore.look(call(1, 6))
        expect(
            told(semaphore.takeAnswers()),
            ["1.2 tooManyReleases", "1.3 tooManyReleases", "1.4 done", "4.1 done", "1.5 tooManyReleases", "1.6 #1"]
        )
    }

    @Test func `setting an event releases all who wait, also when it is cleared at once`() {
        var event = EventRoom()
        for client in 1...3 as ClosedRange<UInt64> { event.wait(call(client, 1)) }
        event.withdraw(call(1, 1), because: .cancelled)
        event.leave(client: 2)
        event.look(call(4, 1))
        event.set(call(4, 2))
        event.look(call(4, 3))
        event.clear(call(4, 4))
        event.wait(call(5, 1))
        expect(
            told(event.takeAnswers()),
            ["1.1 cancelled", "4.1 #0", "4.2 done", "3.1 done", "4.3 #1", "4.4 done"]
        )
    }

    // MARK: - Barrier

    @Test func `a barrier lets all parties go on together, and breaks for all`() {
        var barrier = BarrierRoom(parties: 2)
        for client in 1...5 as ClosedRange<UInt64> { barrier.arrive(call(client, 1)) }
        barrier.look(.waiting, call(9, 1))
        expect(told(barrier.takeAnswers()), ["1.1 #0", "2.1 #1", "3.1 #0", "4.1 #1", "9.1 #1"])
        barrier.withdraw(call(5, 1), because: .timedOut)
        barrier.arrive(call(6, 1))
        expect(told(barrier.takeAnswers()), ["5.1 brokenInTime", "6.1 broken"])
        barrier.reset(call(6, 2))
        barrier.arrive(call(6, 3))
        barrier.leave(client: 7)
        barrier.leave(client: 6)
        barrier.arrive(call(7, 1))
        expect(told(barrier.takeAnswers()), ["6.2 done", "7.1 broken"])
        barrier.reset(call(7, 2))
        barrier.arrive(call(7, 3))
        barrier.abort(call(8, 1))
        barrier.look(.isBroken, call(8, 2))
        expect(told(barrier.takeAnswers()), ["7.2 done", "7.3 broken", "8.1 done", "8.2 #1"])
    }

    @Test func `the action of a barrier is called before anybody goes on, and breaks it when it throws`() {
        var barrier = BarrierRoom(parties: 2) { throw CheckFailed(description: "action") }
        barrier.arrive(call(1, 1))
        barrier.arrive(call(2, 1))
        expect(told(barrier.takeAnswers()), ["1.1 broken", "2.1 failed"])
        barrier.arrive(call(2, 2))
        expect(told(barrier.takeAnswers()), ["2.2 broken"])
    }

    // MARK: - Queue

    @Test func `elements go in and out in order, past those who are gone`() {
        var queue = QueueRoom<String>(capacity: 1)
        for client in 1...3 as ClosedRange<UInt64> { queue.get(call(client, 1)) }
        queue.leave(client: 1)
        queue.withdraw(call(2, 1), because: .timedOut)
        queue.put("a", call(4, 1))
        queue.put("b", call(4, 2))
        queue.put("c", call(5, 1))
        queue.put("d", call(6, 1))
        queue.put("e", call(7, 1))
        queue.look(.isFull, call(8, 1))
        expect(told(queue.takeAnswers()), ["2.1 timedOut", "4.1 done", "3.1 a", "4.2 done", "8.1 #1"])
        queue.leave(client: 5)
        queue.withdraw(call(6, 1), because: .cancelled)
        queue.get(call(3, 2))
        queue.get(call(3, 3))
        queue.look(.count, call(8, 2))
        expect(told(queue.takeAnswers()), ["6.1 cancelled", "3.2 b", "7.1 done", "3.3 e", "8.2 #0"])
    }

    @Test func `a queue that is shut down is emptied, and nobody waits any more`() {
        var queue = QueueRoom<Int>(capacity: 2)
        for number in 1...4 { queue.put(number, call(1, UInt64(number))) }
        queue.shutDown(immediate: false, call(2, 1))
        queue.put(5, call(1, 5))
        for number in 1...3 { queue.get(call(3, UInt64(number))) }
        expect(
            told(queue.takeAnswers()),
            [
                "1.1 done", "1.2 done", "2.1 done", "1.3 shutDown", "1.4 shutDown", "1.5 shutDown", "3.1 1", "3.2 2",
                "3.3 shutDown",
            ]
        )
        var other = QueueRoom<Int>()
        other.get(call(3, 1))
        other.shutDown(immediate: false, call(2, 1))
        expect(told(other.takeAnswers()), ["2.1 done", "3.1 shutDown"])
    }

    @Test func `a queue is joined when everything that was put is dealt with`() {
        var queue = QueueRoom<Int>()
        queue.taskDone(call(1, 1))
        queue.join(call(1, 2))
        expect(told(queue.takeAnswers()), ["1.1 tooManyTasksDone", "1.2 done"])
        for number in 1...3 { queue.put(number, call(1, UInt64(10 + number))) }
        queue.get(call(2, 1))
        _ = queue.takeAnswers()
        for client in 3...5 as ClosedRange<UInt64> { queue.join(call(client, 1)) }
        queue.leave(client: 3)
        queue.withdraw(call(4, 1), because: .timedOut)
        queue.look(.unfinished, call(1, 4))
        expect(told(queue.takeAnswers()), ["4.1 timedOut", "1.4 #3"])
        // What is thrown away counts as dealt with.
        queue.shutDown(immediate: true, call(1, 5))
        expect(told(queue.takeAnswers()), ["1.5 done"])
        queue.taskDone(call(2, 2))
        expect(told(queue.takeAnswers()), ["2.2 done", "5.1 done"])
    }
}
