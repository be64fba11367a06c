// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// How a child process comes to be.
public struct StartMethod: Hashable, Sendable, Codable, CustomStringConvertible {
    private enum Kind: String, Codable {
        case forkServer
        case spawn
        case fork
    }

    private let kind: Kind

    /// A clean server process, started once, forks each child. The child has none of the parent's memory, threads or descriptors but what is sent. The fastest method that
    /// is safe; a start costs a message where a spare is ready.
    public static let forkServer = StartMethod(kind: .forkServer)

    /// The program's executable is started anew for each child. A few milliseconds; shares nothing, not even what `ForkServer.preload` prepared.
    public static let spawn = StartMethod(kind: .spawn)

    /// The calling process is copied, with all of its memory (copy-on-write) and descriptors, and none of its other threads.
    ///
    /// For scripts, and for large read-only state, in programs that run one thread: a lock that another thread held at that moment stays held for ever in the child. Of such locks the ones in static data
    /// are looked for (those of the Swift runtime and the loader, the ones of lazily made globals, a library's `static` mutexes of C): while another thread holds one, the process is copied again
    /// and again, for up to a second for each, and handlers of `pthread_atfork(3)` are called each time. Locks in allocated memory, such as a `Mutex` in an object, cannot be seen.
    ///
    /// Swift concurrency does not work in the child. `start()` throws in a Swift task, and for an asynchronous body. A handle of a manager's value that was captured is counted when it is first used in the
    /// child; the parent has to keep one until then.
    public static let fork = StartMethod(kind: .fork)

    private static let chosen = PlainMutex<StartMethod?>(ofProcess: nil)

    /// The method where none is named: `.forkServer`, unless the program has set another. It can be set once, before the first process was started with it; setting it again to
    /// another value is a programmer error and traps.
    public static var `default`: StartMethod {
        get {
            chosen.withLock { chosen in
                let method = chosen ?? .forkServer
                chosen = method
                return method
            }
        }
        set {
            chosen.withLock { chosen in
                if let chosen, chosen != newValue {
                    fatalError("StartMethod.default is \(chosen) already, and can be set only once, before it is used")
                }
                chosen = newValue
            }
        }
    }

    /// The method's name.
    public var description: String { kind.rawValue }
}
