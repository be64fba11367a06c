// SPDX-License-Identifier: Apache-2.0
//
// What `SharedValue` and `SharedArray` lie in:
//
//   offset   size
//        0     64   header (HandleMemory.swift)
//       64     64   lock (RobustLock.swift), recursive
//      128      …   elements

internal import MultiprocessingPrimitives

/// A locked region with elements behind the lock.
///
/// Usable from inlined code, since a counter is changed in tens of nanoseconds and an array's elements are read in one.
@usableFromInline
struct LockedStorage: @unchecked Sendable {
    // Safe because the region stays mapped as long as this value's owner lives, and the elements' types are Sendable.

    /// Where the elements lie in the region; a multiple of every type's alignment.
    static let elementOffset = 128

    /// The first element.
    @usableFromInline
    let elements: UnsafeMutableRawPointer

    let core: LockCore

    /// The storage in `region`.
    init(_ region: MemoryRegion) {
        core = LockCore(region, isRecursive: true)
        elements = region.base + Self.elementOffset
    }

    /// Acquires the lock for the calling thread.
    ///
    /// - Throws: ``OwnerDied`` when the last owner died with it; the lock is then free.
    @usableFromInline
    func acquire() throws {
        // The usual case first, without touching the reference in `core`.
        if core.lock.acquireIfFree() { return }
        _ = try core.acquire(until: .never)
    }

    /// Releases the lock, which the caller holds.
    @usableFromInline
    func release() {
        if !core.lock.releaseIfHeldByThread() { _ = core.release() }
    }

    /// Runs `body` with the lock held; a death that was not told of stays so.
    func withLockWhateverHappened<Result>(_ body: () -> Result) -> Result {
        if core.lock.acquireIfFree() {
            defer { _ = core.lock.releaseIfHeldByThread() }
            return body()
        }
        // The caller itself holds it: nobody else can be writing.
        if core.owner() != nil { return body() }
        let outcome = try? core.lock.acquire()
        var isUnlearned = false
        if case .ownerDied? = outcome { isUnlearned = true }
        defer { _ = core.lock.releaseIfHeldByThread(unlearned: isUnlearned) }
        return body()
    }
}
