// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Testing

/// What the two kinds of locks have in common.
protocol TestedLock: Codable, Sendable {
    @available(*, noasync) func acquire(timeout: Duration?) throws -> Bool
    func acquire(timeout: Duration?) async throws -> Bool
    func release() throws
    var isLocked: Bool { get }
    /// How often the caller, who holds it, has acquired it.
    var depth: Int { get }
}

extension Lock: TestedLock {
    var depth: Int { 1 }
}

extension RecursiveLock: TestedLock {
    var depth: Int { count }
}

/// A lock: who holds it, and how often it was acquired.
private struct LockModel: Model {
    enum Operation: UInt8 { case acquire, release, isLocked, depth }

    struct State: Hashable {
        var owner: Int?
        var count = 0
    }

    let isRecursive: Bool
    var initial: State { State() }

    func happen(_ call: Call<Operation>, by caller: Int, in situation: Situation<State>) -> [Situation<State>] {
        let state = situation.state
        var next = situation
        switch call.operation {
        case .acquire where state.owner == nil || state.owner == caller && isRecursive:
            next.state = State(owner: caller, count: state.count + 1)
            next.give(Answer.yes, to: caller)
        case .acquire:
            if !call.isTimed, state.owner != caller { return [] }
            next.give(call.isTimed ? Answer.timedOut : Answer.wrong, to: caller)
        case .release where state.owner == caller:
            next.state = State(owner: state.count == 1 ? nil : caller, count: state.count - 1)
            next.give(Answer.yes, to: caller)
        case .release:
            next.give(Answer.wrong, to: caller)
        case .isLocked:
            next.give(state.owner == nil ? Answer.no : Answer.yes, to: caller)
        case .depth:
            next.give(state.count, to: caller)
        }
        return [next]
    }

    func changesNothing(_ call: Call<Operation>) -> Bool {
        switch call.operation {
        case .acquire, .release: call.answer != Answer.yes
        case .isLocked, .depth: true
        }
    }
}

/// A lock, what it protects, and what was done with it.
private struct LockedCounter<Tested: TestedLock>: Subject {
    static var hasTasks: Bool { true }

    let lock: Tested
    let history: History<LockModel.Operation>
    /// The number of times that the lock was held, and who holds it: only one at a time may write here.
    let counter: SharedArray<Int>

    init(_ lock: Tested) throws {
        self.lock = lock
        history = try History(callers: Self.callers, capacity: 2000)
        counter = try SharedArray(count: 2)
    }

    /// What a caller is to do next.
    func plan(_ depth: Int, _ generator: inout Seeded) -> (LockModel.Operation, timeout: Duration?) {
        switch Int.random(in: 0..<10, using: &generator) {
        case 0: (.isLocked, nil)
        // Also by who does not hold it.
        case 1: (.release, nil)
        case 2 where depth > 0: (.depth, nil)
        case 3...5 where depth > 0: (.release, nil)
        // Also by who holds it already.
        case 2...7: (.acquire, depth < 4 && generator.once(in: 2) ? nil : generator.shortTimeout())
        default: depth > 0 ? (.release, nil) : (.acquire, generator.shortTimeout())
        }
    }

    /// Writes down that the caller holds the lock now.
    func enter(_ caller: Int, _ generator: inout Seeded) {
        counter[1] = caller
        let count = counter[0]
        generator.dawdle()
        counter[0] = count + 1
    }

    /// Everything that is done in the same way by threads and tasks; nil for what is not.
    func answer(_ operation: LockModel.Operation, _ caller: Int, _ depth: Int) throws -> Int? {
        switch operation {
        case .acquire: return nil
        case .isLocked: return lock.isLocked ? Answer.yes : Answer.no
        case .depth: return lock.depth
        case .release:
            if depth > 0 { try check(counter[1] == caller, "two hold the lock") }
            do { try lock.release() } catch { return try wrong(error, .notOwner) }
            return Answer.yes
        }
    }

    func wrong(_ error: any Error, _ code: SynchronizationError.Code) throws -> Int {
        guard (error as? SynchronizationError)?.code == code else { throw error }
        return Answer.wrong
    }

    @available(*, noasync)
    func acquire(timeout: Duration?) throws -> Int {
        do { return try lock.acquire(timeout: timeout) ? Answer.yes : Answer.timedOut } catch {
            return try wrong(error, .deadlock)
        }
    }

    func acquire(timeout: Duration?) async throws -> Int {
        do { return try await lock.acquire(timeout: timeout) ? Answer.yes : Answer.timedOut } catch {
            return try wrong(error, .deadlock)
        }
    }

    @available(*, noasync)
    func use(by caller: Int, _ generator: inout Seeded) throws {
        var depth = 0
        // In the end it is let go of, and once more than that: some mistakes there are in any case.
        for step in 0..<650 {
            let (operation, timeout) = step < 590 ? plan(depth, &generator) : (.release, nil)
            let answer = try history.record(operation, by: caller, timeout: timeout) {
                try self.answer(operation, caller, depth) ?? acquire(timeout: timeout)
            }
            try note(operation, answer, caller, &depth, &generator)
        }
    }

    func use(by caller: Int, _ generator: inout Seeded) async throws {
        var depth = 0
        // In the end it is let go of, and once more than that: some mistakes there are in any case.
        for step in 0..<650 {
            let (operation, timeout) = step < 590 ? plan(depth, &generator) : (.release, nil)
            let answer = try await history.record(operation, by: caller, timeout: timeout) { () async throws -> Int in
                if let answer = try self.answer(operation, caller, depth) { return answer }
                return try await acquire(timeout: timeout)
            }
            try note(operation, answer, caller, &depth, &generator)
            if generator.once(in: 4) { await Task.yield() }
        }
    }

    private func note(
        _ operation: LockModel.Operation,
        _ answer: Int,
        _ caller: Int,
        _ depth: inout Int,
        _ generator: inout Seeded
    ) throws {
        guard answer == Answer.yes, operation == .acquire || operation == .release else { return }
        depth += operation == .acquire ? 1 : -1
        if operation == .acquire, depth == 1 { enter(caller, &generator) }
    }

    /// Throws unless what was done is possible.
    func verify(isRecursive: Bool) throws {
        try LockModel(isRecursive: isRecursive).verify(history)
        var held = 0
        for calls in history.all {
            var depth = 0
            for call in calls where call.answer == Answer.yes {
                if call.operation == .acquire {
                    if depth == 0 { held += 1 }
                    depth += 1
                }
                if call.operation == .release { depth -= 1 }
            }
        }
        try checkEqual(counter[0], held)
        try checkEqual(lock.isLocked, false)
        let calls = history.all.joined()
        for answer in [Answer.yes, Answer.timedOut, Answer.wrong] {
            let count = calls.filter { $0.answer == answer }.count
            try check(count > 50, "only \(count) answers \(answer)")
        }
    }
}

/// Random calls of several threads, tasks and processes; what they answer has to be possible.
@Suite(.timeLimit(.minutes(30)), .leavesNothing) struct LockModelTests {
    @Test(arguments: [UInt64(1), 2, 3])
    func `a lock has one holder at a time, and only that one releases it`(seed: UInt64) throws {
        let counter = try LockedCounter(try Lock())
        try counter.useEverywhere(seed: seed)
        try counter.verify(isRecursive: false)
    }

    @Test(arguments: [UInt64(4), 5, 6])
    func `a recursive lock is held until it was released as often as acquired`(seed: UInt64) throws {
        let counter = try LockedCounter(try RecursiveLock())
        try counter.useEverywhere(seed: seed)
        try counter.verify(isRecursive: true)
    }
}
