// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

/// What a process needs to have children: made at the first need, one in each process.
final class Runtime: Sendable {
    // `nonisolated(unsafe)` is safe because it is used only under `ForkLock`.
    private nonisolated(unsafe) static var current: Runtime?

    /// The runtime of this process.
    ///
    /// - Throws: `SystemError` when its thread or descriptors cannot be had.
    static func shared() throws -> Runtime {
        try ForkLock.withLock {
            if let current { return current }
            let made = try Runtime()
            current = made
            return made
        }
    }

    /// The runtime, if this process has needed one.
    static var ifMade: Runtime? { ForkLock.withLock { current } }

    /// Waits for everything.
    let reactor: Reactor
    /// Forks children.
    let forkServer: ForkServerClient
    /// Started and not yet ended.
    let children = ChildRegistry()
    private let lifelineStorage = PlainMutex<Lifeline?>(nil)
    private let selfStorage = PlainMutex<SharedDescriptor?>(nil)

    private init() throws {
        reactor = try Reactor()
        forkServer = ForkServerClient(reactor: reactor, spares: 2)
        ExitHandling.install()
    }

    /// The pipe that tells children of this process' death.
    func lifeline() throws -> Lifeline {
        try lifelineStorage.withLock { lifeline in
            if let lifeline { return lifeline }
            let made = try Lifeline()
            lifeline = made
            return made
        }
    }

    /// A pidfd of this process, for its children. Nil where the kernel gives none.
    var ownDescriptor: SharedDescriptor? {
        selfStorage.withLock { stored in
            if let stored { return stored }
            if let descriptor = try? OwnedDescriptor(checking: mp_pidfd_open(getpid()), "opening a pidfd") {
                stored = SharedDescriptor(descriptor)
            }
            return stored
        }
    }

    // MARK: - Forking this process

    /// Calls `fork`; in the child, forgets the parent's runtime.
    static func forking(_ fork: () -> Int32) -> Int32 {
        ForkLock.forking(fork) {
            // Kept for good: destroying it would touch what belongs to the parent's threads.
            if let current { _ = Unmanaged.passRetained(current) }
            current = nil
        }
    }
}
