// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions
internal import MultiprocessingWireCoding

/// The server process that forks the children of this program.
///
/// It is this program's executable, started once more at the first need, and runs none of the program's `main`. It stays single-threaded, so its children start clean. It ends
/// with the program. When it dies its children end, and the next start makes another.
public enum ForkServer {
    /// Runs `body` once in the server, before it forks the first child: what it prepares (tables, models, open files) is there in every child, shared copy-on-write.
    ///
    /// Several functions run in the order of the calls. When one throws, or ends the server, starting a child throws. `body` must not start threads or tasks: they would exist in no
    /// child. Nothing is started by this call.
    ///
    /// - Throws: `FunctionNotPortable` when `body` cannot be carried; `ProcessError` when the server runs already.
    public static func preload(_ body: @escaping @Sendable () throws -> Void) throws {
        var writer = WireWriter()
        try PortableFunction(action: body).encode(into: &writer, userInfo: [:])
        let bytes = writer.withUnsafeBytes { Array($0) }
        try Runtime.shared().forkServer.addPreload(bytes)
    }

    /// How many forked children are kept ready for a job, 2 unless set. With a spare ready, a start costs a message rather than a fork; each costs less than a megabyte.
    /// One that got a job is replaced when a child ends, or when fewer than half are left: not while the new child begins.
    ///
    /// - Throws: `ProcessError` (`invalidArgument`) for a number below 0; `SystemError` when the threads or descriptors to start processes with cannot be had.
    public static func setSpares(_ count: Int) throws {
        guard count >= 0 else {
            throw ProcessError(.invalidArgument, "the number of spares is \(count), and must be at least 0")
        }
        try Runtime.shared().forkServer.spares = count
    }

    /// Starts the server now, if it does not run, instead of at the first start of a child. Returns without waiting for it to be ready.
    ///
    /// - Throws: `ProcessError` when it cannot be started.
    public static func start() throws {
        try Runtime.shared().forkServer.start()
    }

    /// The server's pid, while there is one.
    public static var processIdentifier: Int32? {
        (try? Runtime.shared())?.forkServer.processIdentifier
    }
}
