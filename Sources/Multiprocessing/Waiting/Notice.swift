// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import MultiprocessingPrimitives
internal import Synchronization

/// Something that happens once, and that threads and tasks of this process wait for.
///
/// `@unchecked` is safe because the pointer never changes and what it points to is atomic.
final class Notice: @unchecked Sendable {
    /// 0: not yet; 1: it has happened. A futex word, so it needs an address of its own.
    private let word: UnsafeMutablePointer<Atomic<UInt32>>
    private let waiters = PlainMutex<[UInt64: CheckedContinuation<Void, any Error>]>([:])
    private let nextWaiter = Atomic<UInt64>(0)

    /// Creates a notice of something that has not happened yet.
    init() {
        word = .allocate(capacity: 1)
        word.initialize(to: Atomic(0))
    }

    deinit {
        word.deinitialize(count: 1)
        word.deallocate()
    }

    /// Whether it has happened. Pairs with the release in `post`: what was written before is visible after.
    var hasHappened: Bool { word.pointee.load(ordering: .acquiring) == 1 }

    /// Lets everybody go who waits now or later. Only the first call does anything.
    func post() {
        let released = waiters.withLock { waiters in
            // Release: pairs with the acquire in `hasHappened`. Under the lock, so that no waiter is added in between.
            word.pointee.store(1, ordering: .releasing)
            defer { waiters = [:] }
            return waiters
        }
        mp_futex_wake(futexWord, .max)
        for waiter in released.values { waiter.resume() }
    }

    /// Blocks until it happens or the deadline has come, and returns whether it has happened.
    func wait(until deadline: Deadline) -> Bool {
        while !hasHappened {
            if deadline.hasPassed { return false }
            // Woken, interrupted, late or already posted: the loop finds out which.
            mp_futex_wait(futexWord, 0, deadline.futexTime)
        }
        return true
    }

    /// Suspends until it happens or the deadline has come, and returns whether it has happened.
    ///
    /// - Throws: `CancellationError` as soon as the task is cancelled.
    func wait(until deadline: Deadline, on reactor: Reactor) async throws -> Bool {
        if hasHappened { return true }
        let id = nextWaiter.add(1, ordering: .relaxed).newValue  // only has to be unique
        let timer = deadline.isNever ? nil : reactor.waitUntil(deadline) { [self] _ in remove(id)?.resume() }
        defer { if let timer { reactor.cancel(timer) } }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let isLate = waiters.withLock { waiters in
                    if hasHappened || deadline.hasPassed { return true }
                    waiters[id] = continuation
                    return false
                }
                if isLate { return continuation.resume() }
                // A cancellation before the continuation was there found nothing to end.
                if Task.isCancelled { remove(id)?.resume(throwing: CancellationError()) }
            }
        } onCancel: {
            remove(id)?.resume(throwing: CancellationError())
        }
        return hasHappened
    }

    private func remove(_ id: UInt64) -> CheckedContinuation<Void, any Error>? {
        waiters.withLock { $0.removeValue(forKey: id) }
    }

    /// The futex word: an `Atomic<UInt32>` is four bytes.
    private var futexWord: UnsafePointer<UInt32> {
        UnsafePointer(UnsafeRawPointer(word).assumingMemoryBound(to: UInt32.self))
    }
}
