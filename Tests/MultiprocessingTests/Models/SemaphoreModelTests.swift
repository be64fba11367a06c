// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Testing

/// What the two kinds of semaphores have in common.
protocol TestedSemaphore: Codable, Sendable {
    @available(*, noasync) func acquire(timeout: Duration?) throws -> Bool
    func acquire(timeout: Duration?) async throws -> Bool
    func release(_ count: Int) throws
    var value: Int { get }
}

extension CountingSemaphore: TestedSemaphore {}
extension BoundedSemaphore: TestedSemaphore {}

/// A semaphore: a number of permits.
private struct SemaphoreModel: Model {
    enum Operation: UInt8 { case acquire, release, releaseTwo, value }

    let initial: Int
    let maximum: Int

    func happen(_ call: Call<Operation>, by caller: Int, in situation: Situation<Int>) -> [Situation<Int>] {
        var next = situation
        next.give(Answer.yes, to: caller)
        switch call.operation {
        case .acquire where situation.state > 0:
            next.state -= 1
        case .acquire:
            guard call.isTimed else { return [] }
            next.give(Answer.timedOut, to: caller)
        case .release, .releaseTwo:
            let sum = situation.state + (call.operation == .release ? 1 : 2)
            if sum <= maximum { next.state = sum } else { next.give(Answer.wrong, to: caller) }
        case .value:
            next.give(situation.state, to: caller)
        }
        return [next]
    }

    func changesNothing(_ call: Call<Operation>) -> Bool {
        call.operation == .value || call.answer != Answer.yes
    }
}

/// A semaphore and what was done with it.
private struct UsedSemaphore<Tested: TestedSemaphore>: Subject {
    static var hasTasks: Bool { true }

    let semaphore: Tested
    let history: History<SemaphoreModel.Operation>

    init(_ semaphore: Tested) throws {
        self.semaphore = semaphore
        history = try History(callers: Self.callers, capacity: 1000)
    }

    /// What a caller that holds so many permits is to do next.
    func plan(_ held: Int, _ generator: inout Seeded) -> (SemaphoreModel.Operation, timeout: Duration?) {
        generator.dawdle()
        return switch Int.random(in: 0..<12, using: &generator) {
        case 0: (.value, nil)
        // Also by who holds none, but as seldom as one more is taken than given back.
        case 1 where generator.once(in: 4): (.release, nil)
        case 2 where generator.once(in: 4) || held > 1: (.releaseTwo, nil)
        case 3...6 where held > 0: (.release, nil)
        // Who holds some would wait for others that wait for it.
        case 7...9 where held == 0: (.acquire, nil)
        default: (.acquire, generator.shortTimeout())
        }
    }

    /// What the semaphore answers to everything but an acquisition.
    private func answer(_ operation: SemaphoreModel.Operation) throws -> Int? {
        do {
            switch operation {
            case .acquire: return nil
            case .release: try semaphore.release(1)
            case .releaseTwo: try semaphore.release(2)
            case .value: return semaphore.value
            }
        } catch let error as SynchronizationError where error.code == .tooManyReleases {
            return Answer.wrong
        }
        return Answer.yes
    }

    /// How many permits a caller holds afterwards.
    private func held(_ before: Int, _ operation: SemaphoreModel.Operation, _ answer: Int) -> Int {
        guard answer == Answer.yes else { return before }
        return switch operation {
        case .acquire: before + 1
        case .release: max(0, before - 1)
        case .releaseTwo: max(0, before - 2)
        case .value: before
        }
    }

    @available(*, noasync)
    func use(by caller: Int, _ generator: inout Seeded) throws {
        var held = 0
        for step in 0..<400 {
            let (operation, timeout) = step < 390 ? plan(held, &generator) : (.release, nil)
            let answer = try history.record(operation, by: caller, timeout: timeout) {
                try self.answer(operation) ?? (semaphore.acquire(timeout: timeout) ? Answer.yes : Answer.timedOut)
            }
            held = self.held(held, operation, answer)
        }
    }

    func use(by caller: Int, _ generator: inout Seeded) async throws {
        var held = 0
        for step in 0..<400 {
            let (operation, timeout) = step < 390 ? plan(held, &generator) : (.release, nil)
            let answer = try await history.record(operation, by: caller, timeout: timeout) { () async throws -> Int in
                if let answer = try self.answer(operation) { return answer }
                return try await semaphore.acquire(timeout: timeout) ? Answer.yes : Answer.timedOut
            }
            held = self.held(held, operation, answer)
        }
    }

    /// Throws unless what was done is possible.
    func verify(_ model: SemaphoreModel) throws {
        try model.verify(history)
        let calls = history.all.joined()
        var sum = model.initial
        for call in calls where call.answer == Answer.yes {
            switch call.operation {
            case .acquire: sum -= 1
            case .release: sum += 1
            case .releaseTwo: sum += 2
            case .value: break
            }
        }
        try checkEqual(semaphore.value, sum)
        for answer in [Answer.yes, Answer.timedOut] {
            let count = calls.filter { $0.operation == .acquire && $0.answer == answer }.count
            try check(count > 50, "only \(count) acquisitions with answer \(answer)")
        }
    }
}

/// Random calls of several threads, tasks and processes; what they answer has to be possible.
@Suite(.timeLimit(.minutes(30)), .leavesNothing) struct SemaphoreModelTests {
    @Test(arguments: [UInt64(1), 2, 3])
    func `a semaphore gives no permit twice and refuses none that it has`(seed: UInt64) throws {
        let used = try UsedSemaphore(try CountingSemaphore(value: Int(seed)))
        try used.useEverywhere(seed: seed)
        try used.verify(SemaphoreModel(initial: Int(seed), maximum: Int(Int32.max)))
    }

    @Test(arguments: [UInt64(4), 5, 6])
    func `a bounded semaphore never has more permits than at the start, and refuses just those`(seed: UInt64) throws {
        let used = try UsedSemaphore(try BoundedSemaphore(value: Int(seed) - 2))
        try used.useEverywhere(seed: seed)
        try used.verify(SemaphoreModel(initial: Int(seed) - 2, maximum: Int(seed) - 2))
        let refused = used.history.all.joined().filter { $0.answer == Answer.wrong }.count
        try check(refused > 50, "only \(refused) releases were refused")
    }
}
