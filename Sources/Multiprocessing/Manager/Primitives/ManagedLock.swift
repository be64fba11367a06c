// SPDX-License-Identifier: Apache-2.0

/// A lock in a ``Manager``, for clients on one machine or several, which survives its holder.
///
/// ```swift
/// let lock = try manager.hostedLock()
/// try manager.names.set(lock, forName: "printer")
/// // elsewhere
/// let lock = try manager.names.get("printer", as: ManagedLock.self)
/// try lock?.withLock { print("alone") }
/// ```
///
/// As ``Lock``, which is many times faster and serves the processes of one machine. What it can do, and what becomes of it when its holder is gone, stands at ``HostedLock``.
///
/// `@unchecked Sendable` is safe because it adds nothing to ``HostedLock`` that changes.
public final class ManagedLock: HostedLock, @unchecked Sendable {}
