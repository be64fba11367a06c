// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Testing

/// An event: a flag.
struct EventModel: Model {
    enum Operation: UInt8 { case set, clear, isSet, wait }

    var initial: Bool { false }

    func happen(_ call: Call<Operation>, by caller: Int, in situation: Situation<Bool>) -> [Situation<Bool>] {
        var next = situation
        next.give(Answer.yes, to: caller)
        switch call.operation {
        case .set:
            next.state = true
        case .clear:
            next.state = false
        case .isSet:
            next.give(situation.state ? Answer.yes : Answer.no, to: caller)
        case .wait:
            if !situation.state, !call.isTimed { return [] }
            next.give(situation.state ? Answer.yes : Answer.timedOut, to: caller)
        }
        return [next]
    }

    func changesNothing(_ call: Call<Operation>) -> Bool { call.operation == .isSet || call.operation == .wait }
}

/// An event and what was done with it.
struct UsedEvent: Subject {
    static var hasTasks: Bool { true }

    let event: Event
    let history: History<EventModel.Operation>
    /// True when the first caller has nothing more to do: from then on nobody clears the event, or counts on others to set it.
    let isEnding: SharedAtomic<Bool>

    init() throws {
        event = try Event()
        history = try History(callers: Self.callers, capacity: 1000)
        isEnding = try SharedAtomic(false)
    }

    /// What a caller is to do next.
    func plan(_ caller: Int, _ generator: inout Seeded) -> (EventModel.Operation, timeout: Duration?) {
        generator.dawdle()
        return switch Int.random(in: 0..<10, using: &generator) {
        case 0: (.isSet, nil)
        case 1...2: (.set, nil)
        case 3...5: (.clear, nil)
        // If all waited for ever, they would.
        case 6...7 where caller % 2 == 1 && !isEnding.load(): (.wait, nil)
        default: (.wait, generator.shortTimeout())
        }
    }

    /// What the event answers to everything but a wait.
    private func answer(_ operation: EventModel.Operation) -> Int? {
        switch operation {
        case .set: event.set()
        case .clear: event.clear()
        case .isSet: return event.isSet ? Answer.yes : Answer.no
        case .wait: return nil
        }
        return Answer.yes
    }

    @available(*, noasync)
    func use(by caller: Int, _ generator: inout Seeded) throws {
        for _ in 0..<600 {
            let (operation, timeout) = plan(caller, &generator)
            try history.record(operation, by: caller, timeout: timeout) {
                try answer(operation) ?? (event.wait(timeout: timeout) ? Answer.yes : Answer.timedOut)
            }
        }
        end(caller)
    }

    func use(by caller: Int, _ generator: inout Seeded) async throws {
        for _ in 0..<600 {
            let (operation, timeout) = plan(caller, &generator)
            try await history.record(operation, by: caller, timeout: timeout) { () async throws -> Int in
                if let answer = answer(operation) { return answer }
                return try await event.wait(timeout: timeout) ? Answer.yes : Answer.timedOut
            }
        }
        end(caller)
    }

    /// Releases who still waits. They may clear the event and wait again, but not for ever; whoever was about to is released by the last one to come here.
    private func end(_ caller: Int) {
        isEnding.store(true)
        history.record(.set, by: caller) {
            event.set()
            return Answer.yes
        }
    }
}

/// Random calls of several threads, tasks and processes; what they answer has to be possible.
@Suite(.timeLimit(.minutes(30)), .leavesNothing) struct EventModelTests {
    @Test(arguments: [UInt64(1), 2, 3])
    func `an event releases those who wait while it is set, and no others`(seed: UInt64) throws {
        let used = try UsedEvent()
        try used.useEverywhere(seed: seed)
        try EventModel().verify(used.history)
        let waits = used.history.all.joined().filter { $0.operation == .wait }
        for answer in [Answer.yes, Answer.timedOut] {
            let count = waits.filter { $0.answer == answer }.count
            try check(count > 50, "only \(count) waits with answer \(answer)")
        }
    }
}
