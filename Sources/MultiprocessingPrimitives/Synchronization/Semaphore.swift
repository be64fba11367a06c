// SPDX-License-Identifier: Apache-2.0
//
// The class is declared in this target, and all that users see of it in `Multiprocessing`, because of its name. Glibc and Foundation bring along another `Semaphore` (a pointer to `sem_t`), and a
// name that two imported modules declare is ambiguous; but not when one of them is imported by a declaration of its own (`import class …`). `Multiprocessing` re-exports it in this
// way, which does for its users what they would have to write in each file. A module cannot re-export its own declarations.

/// A number of permits that processes share.
///
/// ```swift
/// let connections = try Semaphore(value: 4)
/// try connections.withPermit { try fetch(page) }   // four at a time, in all processes together
/// ```
///
/// Anybody may give a permit back, whoever took it. So there is no owner, and **permits that a process holds when it is killed are lost**, as in Python; where that matters, count with a
/// ``Lock`` and a ``SharedValue``, or give the permits back in the process that sees the death. A process killed while it waits, or while it gives, costs nothing.
public final class Semaphore: Sendable {
    /// Keeps the memory.
    package let region: MemoryRegion

    /// The permits.
    package let state: SemaphoreState

    /// The semaphore that lies in `region`.
    package init(_ region: MemoryRegion, _ state: SemaphoreState) {
        self.region = region
        self.state = state
    }
}
