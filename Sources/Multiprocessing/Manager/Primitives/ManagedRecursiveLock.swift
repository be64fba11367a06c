// SPDX-License-Identifier: Apache-2.0

/// A lock in a ``Manager`` that its holder may acquire again: it is free when the holder has released it as often as it acquired it.
///
/// As ``ManagedLock`` in everything else. ``RecursiveLock`` is many times faster and serves the processes of one machine.
///
/// `@unchecked Sendable` is safe because it adds nothing to ``HostedLock`` that changes.
public final class ManagedRecursiveLock: HostedLock, @unchecked Sendable {
    /// Returns how many times the holder has acquired the lock, 0 when it is free; the thread is blocked until the answer is there.
    @available(*, noasync)
    public func count() throws -> Int {
        try lock.count()
    }

    /// Returns how many times the holder has acquired the lock, 0 when it is free; the task is suspended until the answer is there.
    public func count() async throws -> Int {
        try await lock.count()
    }
}
