// SPDX-License-Identifier: Apache-2.0
//
// A program for the tests of what concerns a whole program: its exit, its death, its executable. The first argument says what to do.

import Glibc
import Multiprocessing

/// Left at the top level on purpose: a child does not see its value, and the program is warned.
let greeting = CommandLine.arguments.count > 100 ? "" : "set by main"

/// Of no interest until it is set, between two starts.
nonisolated(unsafe) var last: UInt8 = 0

/// Another of no interest: zero here, zero in a child.
let nothing = CommandLine.arguments.count > 100 ? 1 : 0

@Sendable func tell(_ text: String) {
    print(text)
    fflush(nil)
}

func sleepForever() -> Never {
    while true { pause() }
}

/// What a file of the kernel's says.
func contents(_ path: String) -> String {
    guard let file = fopen(path, "re") else { return "" }
    defer { fclose(file) }
    var buffer = [UInt8](repeating: 0, count: 4096)
    return String(decoding: buffer[..<fread(&buffer, 1, buffer.count, file)], as: UTF8.self)
}

/// The children of a process that wait for something.
func childrenInWait(of process: Int32) -> [Int32] {
    contents("/proc/\(process)/task/\(process)/children").split(separator: " ").compactMap { Int32($0) }
        .filter { contents("/proc/\($0)/stat").contains(") S ") }
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
case "everything": try useEverything()
case "return":
    // Returns from main with children running.
    let daemon = ChildProcess(daemon: true) {
        tell("daemon \(getpid())")
        sleepForever()
    }
    try daemon.start()
    let isDone = try Event()
    let other = ChildProcess(daemon: false) {
        _ = try isDone.wait(timeout: .seconds(60))
        usleep(200_000)
        tell("other done")
    }
    try other.start()
    tell("main done")
    isDone.set()
case "ignores-children":
    // A daemon and another that are killed; nobody can reap them.
    signal(SIGCHLD, SIG_IGN)
    for method in [StartMethod.spawn, .fork] {
        for isDaemon in [true, false] {
            let child = ChildProcess(daemon: isDaemon, startMethod: method) { sleepForever() }
            try child.start()
            try child.kill()
        }
    }
    tell("main done")
case "unmarked":
    tell("main ran with\(getenv("MULTIPROCESSING_SOCKET") == nil ? "out" : "") a marker")
case "privileged":
    // The rights of one user by order of another: what a set-user-id program has.
    setreuid(65534, 0)
    setenv("MULTIPROCESSING_SOCKET", "7", 1)
    var words: [UnsafeMutablePointer<CChar>?] = [strdup("fixture"), strdup("unmarked"), nil]
    execv("/proc/self/exe", &words)
case "bootstrap":
    if CommandLine.arguments.count > 2 {
        // Before the C library's hook could see it, as it is where there is no hook.
        dup2(0, 7)
        setenv("MULTIPROCESSING_SOCKET", "7", 1)
        tell("marked")
    }
    Multiprocessing.bootstrap()
    tell("main goes on")
case "default-method":
    let order = CommandLine.arguments[2]
    if order == "late" { _ = ChildProcess {} }
    StartMethod.default = .spawn
    StartMethod.default = .spawn
    if order == "twice" { StartMethod.default = .fork }
    tell("\(StartMethod.default)")
    let child = ChildProcess { tell("\(ChildProcess.current.name) by spawn") }
    try child.start()
    try child.join()
case "full-memory":
    // /dev/shm has room for 64 KiB.
    do {
        _ = try SharedMemory(name: "mp-full", create: true, size: 1 << 20)
    } catch { tell("\((error as? SystemError)?.code == ENOSPC)") }
    do {
        _ = try SharedMemory(name: "mp-full")
    } catch { tell("\((error as? SharedStateError)?.code == .doesNotExist)") }
    tell("\(try SharedMemory(name: "mp-full", create: true, size: 1 << 12).size)")
case "deleted", "replaced":
    if CommandLine.arguments.count > 2 {
        rename(CommandLine.arguments[2], CommandLine.arguments[0])
    } else {
        unlink(CommandLine.arguments[0])
    }
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
    // The warning comes from a thread of its own: whoever has seen it sends a line.
    _ = readLine()
    last = 7
    let other = ChildProcess {}
    try other.start()
    try other.join()
    _ = readLine()
    // Nothing is new.
    let third = ChildProcess {}
    try third.start()
    try third.join()
case "preload-fails":
    struct NoModel: Error {}
    try ForkServer.preload { throw NoModel() }
    do { try ChildProcess {}.start() } catch { tell("\(error)") }
case "preload-traps":
    try ForkServer.preload { fatalError("in the server") }
    do { try ChildProcess {}.start() } catch { tell("\(error)") }
case "manager":
    try serveManager(at: CommandLine.arguments[2], key: CommandLine.arguments[3])
case "manager-client":
    try useManager(at: CommandLine.arguments[2], key: CommandLine.arguments[3], name: CommandLine.arguments[4])
case "progress": try showProgress(fails: CommandLine.arguments.last == "fails")
case "pool": try runPools(CommandLine.arguments.dropFirst(2).first ?? "")
case "preload-hangs":
    try ForkServer.preload { sleepForever() }
    try ForkServer.start()
    tell("server \(ForkServer.processIdentifier ?? 0)")
    do { try ChildProcess {}.start(timeout: .milliseconds(50)) } catch { tell("\(type(of: error))") }
    do { _ = try ChildProcess.run(timeout: .milliseconds(50)) { 1 } } catch { tell("\(type(of: error))") }
    // A hundred tasks on a few threads: none of them may hold one.
    Task.detached {
        let count = await withTaskGroup(of: Bool.self) { group in
            for n in 0..<100 {
                group.addTask {
                    do {
                        if n % 2 == 0 { return try await ChildProcess.run(timeout: .milliseconds(100)) { 1 } == 0 }
                        try await ChildProcess {}.start(timeout: .milliseconds(100))
                        return false
                    } catch { return error is TimeoutError }
                }
            }
            var count = 0
            for await isTimeout in group where isTimeout { count += 1 }
            return count
        }
        tell("timed out \(count)")
        let task = Task { try await ChildProcess {}.start(timeout: nil) }
        task.cancel()
        if case .failure(let error) = await task.result { tell("\(type(of: error))") }
        // Its server hangs still: only its death tells that.
        kill(getpid(), SIGKILL)
    }
    sleepForever()
case "dies-at-start":
    // The spare that gets the job is stopped before, so that it cannot have read it when this process dies.
    try ChildProcess {}.start()
    guard let server = ForkServer.processIdentifier else { exit(3) }
    let daemonTask = CommandLine.arguments.count > 2
    tell("server \(server)")
    var spares: [Int32] = []
    while spares.count < 2 {
        usleep(1000)
        spares = childrenInWait(of: server)
    }
    for spare in spares { kill(spare, SIGSTOP) }
    try ChildProcess(daemon: daemonTask) {
        tell("the body ran")
    }.start()
    for spare in spares { tell("spare \(spare)") }
    kill(getpid(), SIGKILL)
default:
    print("unknown: \(CommandLine.arguments)")
    exit(2)
}
