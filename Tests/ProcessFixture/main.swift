// SPDX-License-Identifier: Apache-2.0
//
// A program for the tests of what concerns a whole program: its exit, its death, its executable. The first argument says what to do.

import Glibc
import Multiprocessing

/// Left at the top level on purpose: a child does not see its value, and the program is warned.
let greeting = CommandLine.arguments.count > 100 ? "" : "set by main"

/// Another of no interest: zero here, zero in a child.
let nothing = CommandLine.arguments.count > 100 ? 1 : 0

@Sendable func tell(_ text: String) {
    print(text)
    fflush(nil)
}

func sleepForever() -> Never {
    while true { pause() }
}

/// Starts a child by each method and tells its pid: daemons, then one that is none.
func startFamily() throws {
    for method in [StartMethod.fork, .spawn, .forkServer] {
        let child = ChildProcess(daemon: true, startMethod: method) {
            // A child of the child, to end with it.
            let inner = ChildProcess(daemon: true, startMethod: method == .spawn ? .spawn : .forkServer) {
                sleepForever()
            }
            try inner.start()
            tell("daemon \(inner.processIdentifier ?? 0)")
            sleepForever()
        }
        try child.start()
        tell("daemon \(child.processIdentifier ?? 0)")
    }
    let survivor = ChildProcess(daemon: false) { sleepForever() }
    try survivor.start()
    tell("survivor \(survivor.processIdentifier ?? 0)")
    tell("server \(ForkServer.processIdentifier ?? 0)")
}

switch CommandLine.arguments.dropFirst().first {
case "family":
    try startFamily()
    tell("ready")
    sleepForever()
case "return":
    // Returns from main with children running.
    let daemon = ChildProcess(daemon: true) {
        tell("daemon \(getpid())")
        sleepForever()
    }
    try daemon.start()
    let other = ChildProcess(daemon: false) {
        usleep(200_000)
        tell("other done")
    }
    try other.start()
    tell("main done")
case "deleted":
    unlink(CommandLine.arguments[0])
    for method in [StartMethod.forkServer, .spawn, .fork] {
        let child = ChildProcess(startMethod: method) { tell("\(method) ran") }
        try child.start()
        try child.join()
    }
case "variables":
    _ = greeting.utf8.count + nothing
    let child = ChildProcess { tell("ran") }
    try child.start()
    try child.join()
    // The warning comes from a thread of its own.
    usleep(500_000)
case "preload-fails":
    struct NoModel: Error {}
    try ForkServer.preload { throw NoModel() }
    do { try ChildProcess {}.start() } catch { tell("\(error)") }
case "preload-traps":
    try ForkServer.preload { fatalError("in the server") }
    do { try ChildProcess {}.start() } catch { tell("\(error)") }
case "pool": try runPools(CommandLine.arguments.dropFirst(2).first ?? "")
default:
    print("unknown: \(CommandLine.arguments)")
    exit(2)
}
