// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

/// What happens to children when this process exits: daemons are terminated, the others are waited for, as in Python.
enum ExitHandling {
    /// How long a daemon has to end after SIGTERM, in nanoseconds.
    private static let grace = Duration.seconds(1)
    private static let installedIn = Atomic<Int32>(0)
    private static let exiting = Atomic<Int32>(0)

    /// Whether this process is on its way out, so that nobody starts children any more in place of those that end.
    static var isExiting: Bool { exiting.load(ordering: .relaxed) == getpid() }

    /// Registers it with `exit`, once in a process.
    static func install() {
        // Relaxed: only who is first matters.
        guard installedIn.exchange(getpid(), ordering: .relaxed) != getpid() else { return }
        atexit { ExitHandling.run() }
    }

    /// Does it now: at exit, or in a copy of a process that ends without `exit`.
    static func run() {
        // A copy made by `fork` inherits the handler but has no children.
        guard installedIn.load(ordering: .relaxed) == getpid(), let runtime = Runtime.ifMade else { return }
        // Relaxed: whoever misses it starts a child that ends with this process.
        exiting.store(getpid(), ordering: .relaxed)
        let children = runtime.children.all
        for child in children where child.isDaemon { try? child.terminate() }
        let deadline = Deadline(timeout: grace)
        for child in children where child.isDaemon {
            if (try? child.wait(until: deadline)) != true { try? child.kill() }
        }
        for child in children { _ = try? child.wait(until: .never) }
    }
}
