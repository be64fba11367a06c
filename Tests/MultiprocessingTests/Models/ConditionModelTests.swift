// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Testing

/// A condition: who holds its lock, who waits, and how many of those may go.
///
/// A wait happens twice: it gives the lock up, and it takes it again.
struct ConditionModel: Model {
    enum Operation: UInt8 { case acquire, release, wait, notify, notifyTwo, notifyAll }

    struct State: Hashable {
        var owner: Int?
        /// Those who wait, and since when.
        var waiting: [Int: Wait] = [:]
        /// How many of those who may go have still to do so.
        var releases = 0
    }

    enum Wait: Hashable { case justBegun, mayGo, mustGo }

    var initial: State { State() }

    func happen(_ call: Call<Operation>, by caller: Int, in situation: Situation<State>) -> [Situation<State>] {
        var next = situation
        next.give(Answer.yes, to: caller)
        if call.operation == .acquire {
            var late = situation
            late.give(Answer.timedOut, to: caller)
            guard situation.state.owner == nil else { return call.isTimed ? [late] : [] }
            next.state.owner = caller
            // One who waits takes the lock for a moment to look whether it may go on.
            return call.isTimed && !situation.state.waiting.isEmpty ? [next, late] : [next]
        }
        if let wait = situation.state.waiting[caller] {
            return goOn(call, by: caller, wait, in: situation)
        }
        guard situation.state.owner == caller else {
            next.give(Answer.wrong, to: caller)
            return [next]
        }
        switch call.operation {
        case .acquire, .release:
            next.state.owner = nil
        case .wait:
            next = situation
            next.state.owner = nil
            next.state.waiting[caller] = .justBegun
        case .notify:
            next.state.notify(1)
        case .notifyTwo:
            next.state.notify(2)
        case .notifyAll:
            next.state.releases = 0
            next.state.waiting = next.state.waiting.mapValues { _ in .mustGo }
        }
        return [next]
    }

    /// Ends a wait, if it can end now.
    private func goOn(
        _ call: Call<Operation>,
        by caller: Int,
        _ wait: Wait,
        in situation: Situation<State>
    ) -> [Situation<State>] {
        guard situation.state.owner == nil else { return [] }
        var next = situation
        next.state.owner = caller
        next.state.waiting[caller] = nil
        let takes = wait == .mayGo && situation.state.releases > 0
        if takes { next.state.releases -= 1 }
        guard takes || wait == .mustGo || call.isTimed else { return [] }
        next.give(takes || wait == .mustGo ? Answer.yes : Answer.timedOut, to: caller)
        return [next]
    }

    func changesNothing(_ call: Call<Operation>) -> Bool {
        call.answer == Answer.wrong || call.operation == .acquire && call.answer == Answer.timedOut
    }
}

extension ConditionModel.State {
    /// Lets so many of those go who wait.
    fileprivate mutating func notify(_ count: Int) {
        let candidates = waiting.values.filter { $0 != .mustGo }.count
        releases += min(count, candidates - releases)
        waiting = waiting.mapValues { $0 == .justBegun ? .mayGo : $0 }
    }
}

/// A condition and what was done with it.
struct UsedCondition: Subject {
    static var hasTasks: Bool { true }

    let condition: Condition
    let history: History<ConditionModel.Operation>
    /// True when the first caller has nothing more to do: from then on nobody waits for ever. Changed with the lock held.
    let isEnding: SharedAtomic<Bool>
    /// Who holds the lock.
    let owner: SharedArray<Int>

    init(_ condition: Condition) throws {
        self.condition = condition
        history = try History(callers: Self.callers, capacity: 1000)
        isEnding = try SharedAtomic(false)
        owner = try SharedArray(count: 1)
    }

    /// What a caller is to do next.
    func plan(
        _ caller: Int,
        isOwner: Bool,
        _ generator: inout Seeded
    ) -> (ConditionModel.Operation, timeout: Duration?) {
        generator.dawdle()
        let dice = Int.random(in: 0..<12, using: &generator)
        guard isOwner else {
            // Also what needs the lock.
            if dice == 0 {
                return ([.release, .wait, .notify, .notifyAll].randomElement(using: &generator) ?? .wait, nil)
            }
            return (.acquire, dice < 9 ? nil : generator.shortTimeout())
        }
        return switch dice {
        case 0: (.notifyAll, nil)
        case 1...2: (.notify, nil)
        case 3: (.notifyTwo, nil)
        case 4...6: (.release, nil)
        // If all waited for ever, they would.
        case 7...9 where caller % 2 == 1 && !isEnding.load(): (.wait, nil)
        default: (.wait, generator.shortTimeout())
        }
    }

    /// What the condition answers to everything but what may block.
    private func answer(_ operation: ConditionModel.Operation) throws -> Int? {
        switch operation {
        case .acquire, .wait: return nil
        case .release: try condition.release()
        case .notify: try condition.notify()
        case .notifyTwo: try condition.notify(2)
        case .notifyAll: try condition.notifyAll()
        }
        return Answer.yes
    }

    private func wrong(_ error: any Error) throws -> Int {
        guard (error as? SynchronizationError)?.code == .notOwner else { throw error }
        return Answer.wrong
    }

    /// Looks whether the caller is alone with the lock; whether it holds it afterwards.
    private func note(
        _ operation: ConditionModel.Operation,
        _ answer: Int,
        _ caller: Int,
        isOwner: Bool
    ) -> Bool {
        switch operation {
        case .acquire:
            guard answer == Answer.yes else { return false }
            owner[0] = caller
            return true
        case .wait where isOwner:
            owner[0] = caller
            return true
        case .release:
            return false
        default:
            return isOwner
        }
    }

    @available(*, noasync)
    func use(by caller: Int, _ generator: inout Seeded) throws {
        var isOwner = false
        for _ in 0..<300 {
            let (operation, timeout) = plan(caller, isOwner: isOwner, &generator)
            if isOwner { try check(owner[0] == caller, "two hold the lock") }
            let answer = try history.record(operation, by: caller, timeout: timeout) {
                do {
                    if let answer = try self.answer(operation) { return answer }
                    let isDone =
                        operation == .wait
                        ? try condition.wait(timeout: timeout) : try condition.acquire(timeout: timeout)
                    return isDone ? Answer.yes : Answer.timedOut
                } catch {
                    return try wrong(error)
                }
            }
            isOwner = note(operation, answer, caller, isOwner: isOwner)
        }
        if !isOwner { try history.record(.acquire, by: caller) { try condition.acquire() ? Answer.yes : Answer.no } }
        try end(caller)
    }

    func use(by caller: Int, _ generator: inout Seeded) async throws {
        var isOwner = false
        for _ in 0..<300 {
            let (operation, timeout) = plan(caller, isOwner: isOwner, &generator)
            if isOwner { try check(owner[0] == caller, "two hold the lock") }
            let answer = try await history.record(operation, by: caller, timeout: timeout) { () async throws -> Int in
                do {
                    if let answer = try self.answer(operation) { return answer }
                    let isDone =
                        operation == .wait
                        ? try await condition.wait(timeout: timeout) : try await condition.acquire(timeout: timeout)
                    return isDone ? Answer.yes : Answer.timedOut
                } catch {
                    return try wrong(error)
                }
            }
            isOwner = note(operation, answer, caller, isOwner: isOwner)
        }
        if !isOwner {
            try await history.record(.acquire, by: caller) { () async throws -> Int in
                try await condition.acquire() ? Answer.yes : Answer.no
            }
        }
        try end(caller)
    }

    /// Releases who still waits, with the lock held; from then on nobody waits for ever.
    private func end(_ caller: Int) throws {
        isEnding.store(true)
        for operation in [ConditionModel.Operation.notifyAll, .release] {
            try history.record(operation, by: caller) { try self.answer(operation) ?? Answer.no }
        }
    }
}

/// Random calls of several threads, tasks and processes; what they answer has to be possible.
@Suite(.timeLimit(.minutes(30)), .leavesNothing) struct ConditionModelTests {
    @Test(arguments: [UInt64(1), 2, 3], [true, false])
    func `a condition releases as many of those who wait as it was told to, one at a time`(
        seed: UInt64,
        isRecursive: Bool
    ) throws {
        let condition = try isRecursive ? Condition() : Condition(lock: Lock())
        let used = try UsedCondition(condition)
        try used.useEverywhere(seed: seed + (isRecursive ? 10 : 0))
        try ConditionModel().verify(used.history)
        let calls = used.history.all.joined()
        for (operation, answer) in [
            (ConditionModel.Operation.wait, Answer.yes), (.wait, Answer.timedOut), (.wait, Answer.wrong),
            (.notify, Answer.yes), (.notify, Answer.wrong),
        ] {
            let count = calls.filter { $0.operation == operation && $0.answer == answer }.count
            try check(count > 2, "only \(count) of \(operation) with answer \(answer)")
        }
    }
}
