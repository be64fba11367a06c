// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Testing

/// `#expect` for calls that change what they are made on.
private func expect(_ condition: Bool, sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(condition, sourceLocation: sourceLocation)
}

@Suite(.leavesNothing)
struct ManagerStateMachineTests {
    @Test func `one thread reads, the next takes over, then the pump`() {
        var calls = PendingCalls<String>()
        expect(calls.add("a", isTask: false)?.number == 1)
        expect(calls.add("b", isTask: false)?.number == 2)
        expect(calls.wait(for: 1).isLead)
        expect(calls.wait(for: 2).isFollow)
        // A task that comes now relies on the thread that reads.
        let task = calls.add("c", isTask: true)
        expect(task?.startsPump == false)
        expect(calls.remove(1) == "a")
        expect(calls.resign().thread == "b")
        expect(calls.remove(2) == "b")
        expect(calls.resign().isPump)
        expect(calls.pumpBegins())
        // A thread that comes while the pump reads follows, and is told to lead when the pump pauses.
        expect(calls.add("d", isTask: false)?.number == 4)
        expect(calls.wait(for: 4).isFollow)
        expect(calls.remove(3) == "c")
        guard case .handOver("d") = calls.pumpPauses() else { return expect(Bool(false)) }
        expect(calls.remove(4) == "d")
        guard case .nobody = calls.resign() else { return expect(Bool(false)) }
        expect(calls.count == 0)
    }

    @Test func `the pump steps back where a thread reads, and starts again for tasks that come later`() {
        var calls = PendingCalls<Int>()
        expect(calls.add(0, isTask: true)?.startsPump == true)
        expect(calls.add(1, isTask: true)?.startsPump == false)
        _ = calls.add(2, isTask: false)
        expect(calls.wait(for: 3).isLead)
        expect(!calls.pumpBegins())
        _ = calls.remove(3)
        expect(calls.resign().isPump)
        expect(calls.pumpBegins())
        _ = calls.remove(1)
        guard case .pause = calls.pumpPauses() else { return expect(Bool(false)) }
        expect(calls.pumpBegins())
        _ = calls.remove(2)
        guard case .end = calls.pumpPauses() else { return expect(Bool(false)) }
        expect(calls.add(3, isTask: true)?.startsPump == true)
    }

    @Test func `an answer that comes before its thread waits is found, and nobody follows for ever`() {
        var calls = PendingCalls<Int>()
        _ = calls.add(1, isTask: false)
        _ = calls.add(2, isTask: false)
        expect(calls.wait(for: 1).isLead)
        expect(calls.remove(2) == 2)
        expect(calls.wait(for: 2).isAnswered)
        _ = calls.remove(1)
        guard case .nobody = calls.resign() else { return expect(Bool(false)) }
        _ = calls.add(3, isTask: false)
        expect(calls.end() == [3])
        expect(calls.add(4, isTask: true) == nil)
        expect(calls.wait(for: 3).isAnswered)
    }

    @Test func `calls that nobody waits for yet are read by who asks, looks, or leads`() {
        var calls = PendingCalls<String>()
        _ = calls.add("a", isTask: false)
        _ = calls.add("b", isTask: false)
        // Nobody reads for them.
        expect(calls.readsNow())
        expect(!calls.readsNow())
        // Two threads ask for the second; one leaves in time, the other is chosen to lead and cannot.
        let (first, second) = (calls.wait(for: 2, as: "b1"), calls.wait(for: 2, as: "b2"))
        expect(first.step.isFollow && second.step.isFollow)
        expect(calls.leave(first.ticket))
        expect(!calls.leave(first.ticket))
        expect(calls.resign().thread == "b2")
        expect(!calls.leave(second.ticket))
        expect(calls.remove(2) == "b")
        guard case .nobody = calls.resign() else { return expect(Bool(false)) }
        // A task asks for the first.
        expect(calls.waitAsTask(for: 1))
        expect(!calls.waitAsTask(for: 1) && !calls.waitAsTask(for: 2))
        expect(calls.pumpBegins())
        expect(calls.remove(1) == "a")
        guard case .end = calls.pumpPauses() else { return expect(Bool(false)) }
        expect(calls.count == 0)
    }

    @Test func `a call that takes long costs no room for those that come and go meanwhile`() {
        var calls = PendingCalls<Int>()
        guard let long = calls.add(-1, isTask: false)?.number else { return expect(Bool(false)) }
        var seen = Set<UInt64>([long])
        for round in 0..<10_000 {
            guard let number = calls.add(round, isTask: false)?.number else { return expect(Bool(false)) }
            expect(seen.insert(number).inserted)
            expect(calls.remove(number) == round)
            expect(calls.remove(number) == nil)
        }
        expect(calls.count == 1 && calls.remove(long) == -1)
        // As many at once, ended in any order.
        var numbers = (0..<5000).compactMap { calls.add($0, isTask: $0 % 3 == 0)?.number }
        expect(calls.count == 5000)
        var order = Array(numbers.enumerated())
        var generator = Seeded(seed: 5)
        order.shuffle(using: &generator)
        for (index, number) in order { expect(calls.remove(number) == index) }
        numbers = []
        expect(calls.count == 0)
    }

    @Test func `calls of a value are made one at a time, in order`() {
        var queue = CallQueue<Int>()
        expect(queue.add(0) == 0)
        for number in 1..<5000 { expect(queue.add(number) == nil) }
        for number in 1..<5000 {
            expect(queue.finish() == number)
            expect(queue.count == 4999 - number)
        }
        expect(queue.finish() == nil)
        expect(!queue.isInUse)
        expect(queue.add(1) == 1)
    }

    @Test func `a value lives as long as its references, and its number is its own`() {
        var registry = ValueRegistry<String>()
        let first = registry.add("first")
        expect(registry.retain(first) == "first")
        expect(registry.release(first) == nil)
        expect(registry.release(first) == "first")
        expect(registry.retain(first) == nil)
        expect(registry.release(first) == nil)
        expect(registry.add("second") != first)

        var references = ClientReferences<String>()
        expect(references.add(1, "a") && references.add(1, "a") && references.add(2, "b"))
        expect(references.remove(2))
        expect(!references.remove(2))
        expect(references[1] == "a" && references[2] == nil)
        let left = references.end()
        expect(left.count == 1 && left[0].number == 1 && left[0].count == 2)
        expect(!references.add(3, "c"))
    }

    @Test func `a client that does not listen is not read from until its answers are gone`() {
        var flow = SessionFlow<Int>()
        expect(!flow.isCongested && !flow.park())
        expect(flow.add(1))
        expect(!flow.add(2))
        expect(flow.isCongested && flow.park())
        guard case .send(1) = flow.next(), case .send(2) = flow.next() else { return expect(Bool(false)) }
        expect(flow.isCongested)
        guard case .done(resumesReading: true) = flow.next() else { return expect(Bool(false)) }
        expect(!flow.isCongested && !flow.park())
        expect(flow.add(3))
    }

    @Test func `a function is told with its definition until it was answered once`() {
        var numbers = FunctionNumbers<String>()
        expect(numbers.reference(to: "f") == .remembered(1))
        expect(numbers.reference(to: "f") == .remembered(1))
        numbers.noteKnown("f")
        expect(numbers.reference(to: "f") == .known(1))
        expect(numbers.reference(to: "g") == .remembered(2))
    }
}

extension PendingCalls.Waiting {
    fileprivate var isLead: Bool { if case .lead = self { true } else { false } }
    fileprivate var isFollow: Bool { if case .follow = self { true } else { false } }
    fileprivate var isAnswered: Bool { if case .answered = self { true } else { false } }
}

extension PendingCalls.Succession {
    fileprivate var isPump: Bool { if case .startPump = self { true } else { false } }
    fileprivate var thread: Waiter? { if case .thread(let waiter) = self { waiter } else { nil } }
}
