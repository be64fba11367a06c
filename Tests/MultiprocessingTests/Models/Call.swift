// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Multiprocessing
import Synchronization

/// One call on a primitive, as the caller wrote it down.
struct Call<Operation: BitwiseCopyable & Sendable>: BitwiseCopyable, Sendable {
    /// What was called.
    var operation: Operation
    /// What came of it: a number that the primitive gave, or one of `Answer`.
    var answer: Int
    /// What the caller saw right afterwards, for models that need it.
    var seen: Int
    /// The longest it was to take in nanoseconds; negative: for ever.
    var timeout: Int64
    /// When it began and when it had ended.
    var start: Int64
    var end: Int64

    /// Whether it was to end with a timeout.
    var isTimed: Bool { timeout >= 0 }
}

/// What comes of a call that gives no number.
enum Answer {
    static let no = 0
    static let yes = 1
    /// The caller had no right to call it.
    static let wrong = -1
    static let timedOut = -2
    static let broken = -3
    static let threw = -4
}

/// What all callers wrote down, each in a place of its own in shared memory.
struct History<Operation: BitwiseCopyable & Sendable>: Codable, Sendable {
    private let calls: SharedArray<Call<Operation>>
    private let counts: SharedArray<Int>
    private let capacity: Int

    init(callers: Int, capacity: Int) throws {
        calls = try SharedArray(count: callers * capacity)
        counts = try SharedArray(count: callers)
        self.capacity = capacity
    }

    /// The calls of each caller, once all have ended.
    var all: [[Call<Operation>]] {
        counts.indices.map { Array(calls[$0 * capacity..<$0 * capacity + counts[$0]]) }
    }

    /// Makes a call and writes it down; what came of it.
    @discardableResult
    func record(
        _ operation: Operation,
        by caller: Int,
        timeout: Duration? = nil,
        seen: () -> Int = { 0 },
        _ call: () throws -> Int
    ) rethrows -> Int {
        let start = now()
        let answer = try call()
        write(operation, by: caller, timeout, answer, seen: seen(), start: start)
        return answer
    }

    /// Makes a call in a task and writes it down; what came of it.
    @discardableResult
    func record(
        _ operation: Operation,
        by caller: Int,
        timeout: Duration? = nil,
        _ call: () async throws -> Int
    ) async rethrows -> Int {
        let start = now()
        let answer = try await call()
        write(operation, by: caller, timeout, answer, seen: 0, start: start)
        return answer
    }

    private func write(
        _ operation: Operation,
        by caller: Int,
        _ timeout: Duration?,
        _ answer: Int,
        seen: Int,
        start: Int64
    ) {
        let nanoseconds = timeout.map { Int64(max($0, .zero) / .nanoseconds(1)) } ?? -1
        calls[caller * capacity + counts[caller]] = Call(
            operation: operation,
            answer: answer,
            seen: seen,
            timeout: nanoseconds,
            start: start,
            end: now()
        )
        counts[caller] += 1
    }

    /// The time, which neither the compiler nor the processor moves past what is done before and after.
    private func now() -> Int64 {
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        defer { atomicMemoryFence(ordering: .sequentiallyConsistent) }
        return mp_now()
    }
}
