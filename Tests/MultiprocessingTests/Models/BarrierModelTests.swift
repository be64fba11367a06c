// SPDX-License-Identifier: Apache-2.0

import CLaboratory
import CMultiprocessing
import Multiprocessing
import Testing

/// A barrier: who waits, and whether it is broken.
private struct BarrierModel: Model {
    enum Operation: UInt8 { case wait, abort, reset, isBroken }

    struct State: Hashable {
        /// Who waits, in the order of arrival.
        var waiting: [Int] = []
        var isBroken = false
        /// How many times the parties have passed.
        var rounds = 0
    }

    let parties: Int
    let hasAction: Bool
    var initial: State { State() }

    func happen(_ call: Call<Operation>, by caller: Int, in situation: Situation<State>) -> [Situation<State>] {
        var next = situation
        next.give(Answer.yes, to: caller)
        switch call.operation {
        case .abort:
            next.breakUp(isBroken: true)
        case .reset:
            next.breakUp(isBroken: false)
        case .isBroken:
            next.give(situation.state.isBroken ? Answer.yes : Answer.no, to: caller)
        case .wait:
            return wait(call, by: caller, in: situation)
        }
        return [next]
    }

    private func wait(
        _ call: Call<Operation>,
        by caller: Int,
        in situation: Situation<State>
    ) -> [Situation<State>] {
        var next = situation
        guard !situation.state.isBroken else {
            next.give(Answer.broken, to: caller)
            return [next]
        }
        guard !situation.state.waiting.contains(caller) else {
            guard call.isTimed else { return [] }
            next.breakUp(isBroken: true)
            next.give(Answer.timedOut, to: caller)
            return [next]
        }
        // Not more than a short cut: an answer that does not agree is dropped anyway, but only when all have arrived.
        guard call.answer < 0 || call.answer == next.state.waiting.count else { return [] }
        next.state.waiting.append(caller)
        guard next.state.waiting.count == parties else { return [next] }

        // The action throws, or it does not.
        var broken = next
        broken.breakUp(isBroken: true)
        broken.give(Answer.threw, to: caller)
        next.state.rounds += 1
        for (place, party) in next.state.waiting.enumerated() {
            next.give(place, to: party, seen: hasAction ? next.state.rounds : 0)
        }
        next.state.waiting = []
        return hasAction ? [next, broken] : [next]
    }

    func changesNothing(_ call: Call<Operation>) -> Bool {
        // One that found the barrier broken may also have arrived, and been counted, before it was.
        call.operation == .isBroken
    }
}

extension Situation<BarrierModel.State> {
    /// Ends the wait of all with an error.
    fileprivate mutating func breakUp(isBroken: Bool) {
        for party in state.waiting { give(Answer.broken, to: party) }
        state.waiting = []
        state.isBroken = isBroken
    }
}

/// What the action of a barrier writes down; it is alone when it does.
private struct ActionNotes: Codable, Sendable {
    /// How often it ran, and how often without an error; whether it is running.
    let counts: SharedArray<Int>
    /// How often it ran in each thread, by what the thread calls itself.
    let runners: SharedArray<Int32>

    init() throws {
        counts = try SharedArray(count: 3)
        runners = try SharedArray(count: 50_000)
    }

    /// The action: throws now and then.
    func run() throws {
        try check(counts[2] == 0, "two run the action")
        counts[2] = 1
        let runs = counts[0]
        let rounds = counts[1]
        runners[runs] = laboratory_thread_id()
        for _ in 0..<runs % 8 * 40 { mp_pause() }
        counts[0] = runs + 1
        defer { counts[2] = 0 }
        guard runs % 7 != 6 else { throw TestFailure() }
        counts[1] = rounds + 1
    }
}

/// A barrier and what was done with it.
private struct UsedBarrier: Subject {
    static var hasTasks: Bool { false }

    let barrier: Barrier
    let hasAction: Bool
    let notes: ActionNotes
    let history: History<BarrierModel.Operation>
    /// Which thread each caller was.
    let threads: SharedArray<Int32>
    /// True when the first caller has nothing more to do: from then on nobody mends the barrier, or counts on others to come.
    let isEnding: SharedAtomic<Bool>

    init(parties: Int, hasAction: Bool) throws {
        let notes = try ActionNotes()
        barrier = try hasAction ? Barrier(parties: parties) { try notes.run() } : Barrier(parties: parties)
        self.hasAction = hasAction
        self.notes = notes
        history = try History(callers: Self.callers, capacity: 2000)
        threads = try SharedArray(count: Self.callers)
        isEnding = try SharedAtomic(false)
    }

    @available(*, noasync)
    func use(by caller: Int, _ generator: inout Seeded) throws {
        threads[caller] = laboratory_thread_id()
        for _ in 0..<300 {
            let dice = Int.random(in: 0..<100, using: &generator)
            if generator.once(in: 4) { generator.dawdle() }
            if dice == 0 {
                abort(caller)
            } else if dice < 3 || barrier.isBroken && dice < 30 {
                reset(caller)
            } else if dice < 10 {
                history.record(.isBroken, by: caller) { barrier.isBroken ? Answer.yes : Answer.no }
            } else {
                try wait(caller, isEnding.load() || generator.once(in: 5) ? generator.shortTimeout() : nil)
            }
            let waiting = barrier.waitingCount
            try check((0..<barrier.parties).contains(waiting), "\(waiting) wait")
        }
        // Releases who still waits, or is about to: the last one to come here for all.
        isEnding.store(true)
        abort(caller)
    }

    /// Takes part like a thread.
    func use(by caller: Int, _ generator: inout Seeded) async throws {}

    @available(*, noasync)
    private func wait(_ caller: Int, _ timeout: Duration?) throws {
        try history.record(.wait, by: caller, timeout: timeout, seen: { notes.counts[1] }) {
            do {
                return try barrier.wait(timeout: timeout)
            } catch let error as BrokenBarrier {
                return error.timedOut ? Answer.timedOut : Answer.broken
            } catch is TestFailure {
                return Answer.threw
            }
        }
    }

    private func abort(_ caller: Int) {
        history.record(.abort, by: caller) {
            barrier.abort()
            return Answer.yes
        }
    }

    private func reset(_ caller: Int) {
        guard !isEnding.load() else { return }
        history.record(.reset, by: caller) {
            barrier.reset()
            return Answer.yes
        }
    }

    /// Throws unless what was done is possible.
    func verify() throws {
        try BarrierModel(parties: barrier.parties, hasAction: hasAction).verify(history)
        let calls = history.all
        let waits = calls.joined().filter { $0.operation == .wait }
        let last = barrier.parties - 1
        let rounds = waits.filter { $0.answer == last }.count
        for place in 0..<last { try checkEqual(waits.filter { $0.answer == place }.count, rounds) }
        for answer in [last, Answer.broken] + (hasAction ? [Answer.threw] : []) {
            let count = waits.filter { $0.answer == answer }.count
            try check(count > 0, "no wait had the answer \(answer)")
        }
        guard hasAction else { return }
        try checkEqual(rounds, notes.counts[1])
        // The action runs in the thread of the last to arrive, and nowhere else.
        for (caller, thread) in threads.enumerated() {
            let ends = calls[caller].filter { $0.operation == .wait && [last, Answer.threw].contains($0.answer) }
            try checkEqual(notes.runners[..<notes.counts[0]].filter { $0 == thread }.count, ends.count)
        }
    }
}

/// Random calls of several threads and processes; what they answer has to be possible.
@Suite(.serialized, .timeLimit(.minutes(30)), .leavesNothing) struct BarrierModelTests {
    @Test(arguments: zip([UInt64(1), 2, 3, 4], [6, 5, 3, 2]))
    func `the parties of a barrier pass together or not at all, and one runs the action`(
        seed: UInt64,
        parties: Int
    ) throws {
        let used = try UsedBarrier(parties: parties, hasAction: true)
        try used.useEverywhere(seed: seed)
        try used.verify()
    }

    @Test(arguments: zip([UInt64(5), 6, 7, 8], [6, 5, 3, 2]))
    func `the parties of a barrier without an action pass together or not at all`(seed: UInt64, parties: Int) throws {
        let used = try UsedBarrier(parties: parties, hasAction: false)
        try used.useEverywhere(seed: seed)
        try used.verify()
    }
}
