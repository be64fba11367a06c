// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

/// A point that a number of processes reach together, again and again.
///
/// ```swift
/// let barrier = try Barrier(parties: 4)
/// // in each of four processes
/// for step in steps { compute(step); try barrier.wait() }
/// ```
///
/// A party that is killed while it waits has arrived: the others pass. One that is killed before it arrives, or before it has released the others as the last one, is missing: they wait until another one comes
/// in its place, until their timeouts, which break the barrier for all, or until somebody calls `abort()`. One that is killed while it runs the action breaks the barrier.
public final class Barrier: Codable, Sendable, CustomStringConvertible {
    /// Keeps the memory.
    private let region: MemoryRegion

    /// The longest wait where a call does not say.
    private let timeout: Duration?

    /// What the last party to arrive runs.
    private let action: BarrierAction?

    private var state: BarrierState { BarrierState(region.base + HandleMemory.contentOffset) }

    /// What travels beside the memory.
    private enum CodingKeys: CodingKey {
        case state
        case timeout
        case action
    }

    /// Makes a barrier.
    ///
    /// - Parameters:
    ///   - parties: How many pass together; at least 1.
    ///   - timeout: The longest wait where a call does not say; nil: for ever.
    ///   - action: Run once in each round by the last party to arrive, in its process, before anybody is released. What it throws breaks the barrier. It travels with the barrier like any function
    ///     that is sent. It must not use the barrier itself.
    /// - Throws: `SynchronizationError` (`invalidValue`) when `parties` is not between 1 and 2,147,483,647; `SystemError` when there is no memory or descriptor for it.
    public init(parties: Int, timeout: Duration? = nil, action: (@Sendable () throws -> Void)? = nil) throws {
        guard (1...Int(Int32.max)).contains(parties) else {
            throw SynchronizationError(.invalidValue, "a barrier cannot have \(parties) parties")
        }
        self.timeout = timeout
        self.action = action.map { BarrierAction($0) }
        region = try HandleMemory.make(.barrier, contentSize: BarrierState.size)
        state.initialize(parties: UInt32(parties))
    }

    // MARK: - Waiting

    /// Waits until all parties have arrived; the thread is blocked until then.
    ///
    /// - Parameter timeout: The longest time to wait (nil: the barrier's own); when it ends the barrier is broken for all. While an action runs, it is waited for.
    /// - Returns: This party's place in the order of arrival: 0 for exactly one of them.
    /// - Throws: ``BrokenBarrier``; what the action throws.
    @available(*, noasync)
    @discardableResult
    public func wait(timeout: Duration? = nil) throws -> Int {
        try place(try state.wait(until: Deadline(timeout: timeout ?? self.timeout), action: action?.run))
    }

    /// Waits until all parties have arrived; the task is suspended until then.
    ///
    /// - Parameter timeout: The longest time to wait (nil: the barrier's own); when it ends the barrier is broken for all. While an action runs, it is waited for.
    /// - Returns: This party's place in the order of arrival: 0 for exactly one of them.
    /// - Throws: ``BrokenBarrier``; what the action throws; `CancellationError` when the task is cancelled while it waits, which breaks the barrier for the others; `SystemError` when it has to wait and the system gives no thread for that.
    @discardableResult
    public func wait(timeout: Duration? = nil) async throws -> Int {
        let deadline = Deadline(timeout: timeout ?? self.timeout)
        let outcome = try await BlockingWaiters.run { [self] cancellation in
            try state.wait(until: deadline, cancellation: cancellation, action: action?.run)
        }
        return try place(outcome)
    }

    private func place(_ outcome: BarrierState.Outcome) throws -> Int {
        switch outcome {
        case .passed(let index): return index
        case .broken: throw BrokenBarrier()
        case .timedOut: throw BrokenBarrier(timedOut: true)
        case .cancelled: throw CancellationError()
        }
    }

    // MARK: - Breaking and mending

    /// Breaks the barrier: those who wait, and those who come, get ``BrokenBarrier`` until `reset()`. Blocks while an action is being run.
    @available(*, noasync)
    public func abort() {
        change { $0.abort() }
    }

    /// Breaks the barrier as the blocking form does; the task is suspended while an action is being run. Done also for a task that is cancelled.
    ///
    /// - Throws: `SystemError` when an action is being run and there is no thread to wait for its end.
    public func abort() async throws {
        try await change { $0.abort() }
    }

    /// Makes the barrier as new; those who wait get ``BrokenBarrier``. Blocks while an action is being run.
    @available(*, noasync)
    public func reset() {
        change { $0.reset() }
    }

    /// Makes the barrier as new, as the blocking form does; the task is suspended while an action is being run. Done also for a task that is cancelled.
    ///
    /// - Throws: `SystemError` when an action is being run and there is no thread to wait for its end.
    public func reset() async throws {
        try await change { $0.reset() }
    }

    /// Changes the state while nobody else does.
    private func change(_ body: (BarrierState) -> Void) {
        // Without a cancellation it is always entered in the end.
        guard state.enter() else { return }
        body(state)
        state.leave()
    }

    /// Changes the state while nobody else does, for which it may have to wait.
    private func change(_ body: @escaping @Sendable (BarrierState) -> Void) async throws {
        if state.enterIfFree() {
            body(state)
            state.leave()
        } else {
            try await BlockingWaiters.run { [self] _ in change(body) }
        }
    }

    // MARK: - Questions

    /// How many parties pass together.
    public var parties: Int { Int(state.parties) }

    /// How many parties wait at this moment.
    public var waitingCount: Int { Int(state.waiting) }

    /// Whether the barrier is broken.
    public var isBroken: Bool { state.isBroken }

    /// The type, how many wait, and of how many.
    public var description: String {
        isBroken ? "Barrier(broken, parties: \(parties))" : "Barrier(waiting: \(waitingCount) of \(parties))"
    }

    // MARK: - Sending

    /// Decodes the barrier in a process it was sent to.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        timeout = try container.decodeIfPresent(Duration.self, forKey: .timeout)
        action = try container.decodeIfPresent(BarrierAction.self, forKey: .action)
        let nested = try container.superDecoder(forKey: .state)
        region = try HandleMemory.decode(
            .barrier,
            contentSize: BarrierState.size,
            type: Self.self,
            from: try nested.singleValueContainer(),
            nested
        )
    }

    /// Encodes the barrier for a process of this program.
    ///
    /// - Throws: ``HandleNotPortable`` for any other encoder.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        // First, since any other encoder fails here.
        try HandleMemory.encode(
            descriptor: region.descriptor,
            owner: region,
            type: Self.self,
            to: container.superEncoder(forKey: .state)
        )
        try container.encodeIfPresent(timeout, forKey: .timeout)
        try container.encodeIfPresent(action, forKey: .action)
    }
}
