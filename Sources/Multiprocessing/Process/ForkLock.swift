// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// What must be whole at the moment of a `fork` of this process (`StartMethod.fork`): one lock around it, held by the forking thread, and usable by its copy in the child.
///
/// A plain pthread mutex, because the mutex of the standard library knows the thread that holds it by a number that changes in the child.
enum ForkLock {
    // `nonisolated(unsafe)` is safe because the pointer is written once, by the lazy initialisation, and a mutex is made to be shared.
    private nonisolated(unsafe) static let mutex = makeMutex()
    private nonisolated(unsafe) static let gate = makeMutex()

    // `nonisolated(unsafe)` is safe because it is used only inside `withLock`.
    private nonisolated(unsafe) static var endsOfParent: Set<Int32> = []

    /// Calls `body` while no other thread is inside.
    static func withLock<R>(_ body: () throws -> R) rethrows -> R {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body()
    }

    private static func makeMutex() -> UnsafeMutablePointer<pthread_mutex_t> {
        let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        return mutex
    }

    /// Calls `body` on one of this package's own threads, at a time when no fork takes place: whatever locks it takes, its own or the loader's, are free in every copy.
    static func withGate<R>(_ body: () throws -> R) rethrows -> R {
        enterGate()
        defer { leaveGate() }
        return try body()
    }

    /// As the beginning of `withGate`, for a thread that is always behind the gate but for the system call it sleeps in: between two calls it may be in the runtime's locks at any instruction.
    static func enterGate() {
        pthread_mutex_lock(gate)
    }

    /// Undoes `enterGate`.
    static func leaveGate() {
        pthread_mutex_unlock(gate)
    }

    /// Notes a descriptor that tells others of this process' end by being closed, and that a copy of this process must therefore not keep.
    static func add(_ descriptor: Int32) {
        withLock { _ = endsOfParent.insert(descriptor) }
    }

    /// Forgets a descriptor, before it is closed.
    static func remove(_ descriptor: Int32) {
        withLock { _ = endsOfParent.remove(descriptor) }
    }

    /// Closes in a copy of the process what only the original may have. The numbers stay taken: objects of the original, copied as well, may close theirs some time.
    private static func letGo() {
        let nothing = open("/dev/null", O_RDONLY | O_CLOEXEC)
        for descriptor in endsOfParent {
            guard nothing >= 0, dup2(nothing, descriptor) >= 0 else {
                close(descriptor)
                continue
            }
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        }
        if nothing >= 0 { close(nothing) }
        endsOfParent = []
    }

    /// Forks. In the child, closes the descriptors that only the parent may have and calls `inChild`.
    ///
    /// - Parameter fork: Returns what fork(2) returns.
    static func forking(_ fork: () -> Int32, inChild: () -> Void) -> Int32 {
        // The gate first: who is behind it may take the lock.
        withGate {
            pthread_mutex_lock(mutex)
            defer { pthread_mutex_unlock(mutex) }
            let pid = fork()
            if pid == 0 {
                letGo()
                inChild()
            }
            return pid
        }
    }
}
