// SPDX-License-Identifier: Apache-2.0

/// A condition in a ``Manager``, with a recursive lock of its own, for clients on one machine or several.
///
/// ```swift
/// try condition.withLock {
///     try condition.wait { try tasks.count() > 0 }  // waits without the lock, looks with it
///     _ = try tasks.popLast()
/// }
/// // elsewhere
/// try condition.withLock {
///     try tasks.append("photo.jpg")
///     try condition.notify()
/// }
/// ```
///
/// As ``Condition``, which is many times faster and serves the processes of one machine. The lock passes on as a ``ManagedLock`` does when its holder is gone. A notification for one that is killed before it goes on
/// goes to the next: after that a waiter may be released without one, so wait in a loop, or with `wait(timeout:for:)`. Predicates are called in the process that waits.
///
/// `@unchecked Sendable` is safe because it adds nothing to ``HostedLock`` that changes.
public final class ManagedCondition: HostedLock, @unchecked Sendable {}
