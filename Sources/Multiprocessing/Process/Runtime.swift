// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

/// What a process needs to have children: made at the first need, one in each process.
final class Runtime: Sendable {
    // `nonisolated(unsafe)` is safe because it is used only under `ForkLock`.
    private nonisolated(unsafe) static var current: Runtime?

    /// Whether a first server was started before the runtime was made.
    private static let hasBegun = Atomic<Bool>(false)

    /// The runtime of this process.
    ///
    /// - Parameter startsServer: Whether its server is started next.
    /// - Throws: `SystemError` when its thread or descriptors cannot be had.
    static func shared(startsServer: Bool = false) throws -> Runtime {
        if let made = ifMade { return made }
        // Before the rest, which happens while it starts. Outside the lock, which it takes; so only one of several threads does it. Why there is none is told by whoever needs it.
        // Relaxed: it protects nothing.
        let isFirst = startsServer && !hasBegun.exchange(true, ordering: .relaxed)
        let server = isFirst ? try? ServerProcess() : nil
        return try ForkLock.withLock {
            if let current {
                server?.end()
                return current
            }
            do {
                let made = try Runtime(server)
                current = made
                return made
            } catch {
                server?.end()
                throw error
            }
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

    private init(_ server: ServerProcess?) throws {
        reactor = try Reactor()
        forkServer = ForkServerClient(reactor: reactor, spares: 2, prepared: server)
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
