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
    /// For scripts, and for large read-only state, in programs that run one thread: a lock that another thread held at that moment stays held for ever in the child. Some of these are looked for: those of
    /// lazily made globals, and mutexes of the C library in static data, as most of the Swift runtime's are, and the loader's. While another thread holds one, the process is copied again and again, for a
    /// second or, where there are many, five; handlers of `pthread_atfork(3)` are called each time. Not seen are a `Mutex`, locks in allocated memory, and that of a type which another thread is just
    /// building for the first time.
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
