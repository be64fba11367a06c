// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

/// What `Semaphore` and `BoundedSemaphore` share: permits in a region.
struct SemaphoreCore: Sendable {
    /// Keeps the memory.
    let region: MemoryRegion
    let state: SemaphoreState

    /// The most permits that a semaphore without a bound can have, as in POSIX (SEM_VALUE_MAX).
    static let largest = Int(Int32.max)

    /// Makes a semaphore.
    ///
    /// - Throws: `SynchronizationError` (`invalidValue`) when `value` is negative or too large.
    init(_ kind: HandleKind, value: Int, maximum: Int) throws {
        guard (0...Self.largest).contains(value) else {
            throw SynchronizationError(.invalidValue, "a semaphore cannot start with \(value) permits")
        }
        region = try HandleMemory.make(kind, contentSize: SemaphoreState.size)
        state = SemaphoreState(region.base + HandleMemory.contentOffset)
        state.initialize(value: UInt32(value), maximum: UInt32(maximum))
    }

    /// The semaphore that lies in `region`.
    init(region: MemoryRegion, state: SemaphoreState) {
        self.region = region
        self.state = state
    }

    /// Maps a semaphore that was sent here.
    init(_ kind: HandleKind, type: Any.Type, from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        region = try HandleMemory.decode(kind, contentSize: SemaphoreState.size, type: type, from: container, decoder)
        state = SemaphoreState(region.base + HandleMemory.contentOffset)
    }

    /// Takes a permit, blocking the thread until `deadline`; false when that passed.
    func acquire(until deadline: Deadline) -> Bool {
        state.acquire(until: deadline) == .acquired
    }

    /// Takes a permit, suspending the task until `deadline`; false when that passed.
    func acquire(until deadline: Deadline) async throws -> Bool {
        if state.acquireIfAvailable() { return true }
        guard !deadline.hasPassed else { return false }
        if Spinning.wait(until: { state.value > 0 }), state.acquireIfAvailable() { return true }
        let outcome = try await BlockingWaiters.run { [self] cancellation in
            state.acquire(until: deadline, cancellation: cancellation)
        }
        guard outcome != .cancelled else { throw CancellationError() }
        return outcome == .acquired
    }

    /// Gives permits.
    ///
    /// - Throws: `SynchronizationError`: `tooManyReleases` beyond the maximum, `invalidValue` when `count` is not positive.
    func release(_ count: Int) throws(SynchronizationError) {
        guard count > 0, count <= Self.largest else {
            throw SynchronizationError(.invalidValue, "a semaphore cannot be given \(count) permits")
        }
        guard !state.release(UInt32(count)) else { return }
        throw SynchronizationError(.tooManyReleases, "a semaphore was given more than its \(state.maximum) permits")
    }
}
