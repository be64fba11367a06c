// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Dispatch
import Glibc
import Multiprocessing
import Testing

/// A check that failed in another process.
struct CheckFailed: Error, Codable, CustomStringConvertible {
    let description: String
}

/// Throws unless `condition` holds: `#expect` for code in another process.
func check(
    _ condition: @autoclosure () throws -> Bool,
    _ message: @autoclosure () -> String = "",
    line: Int = #line
) throws {
    guard try condition() else { throw CheckFailed(description: "line \(line): \(message())") }
}

/// Whether traps of the standard library and of `precondition` say why: optimised code leaves the words out.
let trapsHaveWords: Bool = {
    var isDebug = false
    assert({ isDebug = true }() == ())
    return isDebug
}()

/// Keeps the optimiser from leaving out memory that nobody reads.
@inline(never)
@_optimize(none)
func keep<T>(_ value: T) {}

/// Throws unless both are equal.
func checkEqual<T: Equatable>(_ actual: T, _ expected: T, line: Int = #line) throws {
    guard actual == expected else { throw CheckFailed(description: "line \(line): \(actual) is not \(expected)") }
}

/// Runs `body` in a process of its own, and checks that it leaves nothing behind there: no child, zombie, descriptor, thread or mapping of memory shared with others.
///
/// Tests run side by side in one process; what they leave can be told only where nobody else is. `body` sees a program that has not started any process yet.
///
/// - Parameter hasTasks: Whether `body` has asynchronous functions in that process. Swift runs those by Dispatch, which makes with the first of them what it never gives up: a thread that looks once a second
///   how many of its others are blocked (`_dispatch_mgr_thread`), and an epoll, an eventfd and a timerfd for that thread. These are there before `body` then; and Dispatch's threads, which come and go, are not counted.
func isolated(hasTasks: Bool = false, _ body: @escaping @Sendable () throws -> Void) async throws {
    try await apart(timeout: .seconds(300)) {
        // A test run in the background of a script has these ignored, and would pass that on.
        for ignored in [SIGINT, SIGQUIT] { signal(ignored, SIG_DFL) }
        try ForkServer.setSpares(0)
        // What is made once and kept (reactor, server, pidfd of this process, lifeline) is there after the first children.
        for method in [StartMethod.forkServer, .fork] {
            let first = ChildProcess(startMethod: method) {}
            try first.start()
            try first.join()
            try first.close()
        }
        if hasTasks {
            // Without a descriptor or a mapping, which could still be there when it is counted what there is.
            let isDone = DispatchSemaphore(value: 0)
            Task.detached { isDone.signal() }
            isDone.wait()
            // Made last, by that thread and not by the one that has just run.
            try checkEventually("there is no timer of Dispatch: \(Proc.descriptors())") {
                Proc.descriptors().contains { $0.hasSuffix("[timerfd]") }
            }
        }
        let before = try Belongings.settled(hasTasks: hasTasks)
        try body()
        try ForkServer.setSpares(0)
        try Belongings.waitUntil(notMoreThan: before, hasTasks: hasTasks)
    }
}

/// Runs `body` in a process of its own, which has so much time once it is its turn.
func apart(timeout: Duration, _ body: @escaping @Sendable () throws -> Void) async throws {
    await Turns.shared.take()
    do {
        try await ChildProcess.run(timeout: timeout, body)
        await Turns.shared.give()
    } catch {
        await Turns.shared.give()
        throw error
    }
}

/// Runs the asynchronous `body` in a process of its own, which has so much time once it is its turn.
func apart(timeout: Duration, _ body: @escaping @Sendable () async throws -> Void) async throws {
    await Turns.shared.take()
    do {
        try await ChildProcess.run(timeout: timeout, body)
        await Turns.shared.give()
    } catch {
        await Turns.shared.give()
        throw error
    }
}

/// Lets a few tests at a time have processes. All tests begin at once; if they all went on at once, each would take as long as all of them together, and none would be done in time.
private actor Turns {
    static let shared = Turns()

    private var free = max(4, 2 * availableCPUCount)
    private var waiting: [CheckedContinuation<Void, Never>] = []

    /// Waits for a turn.
    func take() async {
        if free > 0 {
            free -= 1
            return
        }
        await withCheckedContinuation { waiting.append($0) }
    }

    /// Gives a turn back, to the one who waits longest.
    func give() {
        if waiting.isEmpty {
            free += 1
        } else {
            waiting.removeFirst().resume()
        }
    }
}

/// What a process has.
struct Belongings: Codable, Sendable {
    /// How long to wait for what ends by other threads and processes: what is left after that is left behind. On a machine with hundreds of processes at work some seconds are nothing.
    private static let patience = Duration.seconds(30)

    var descriptors: [String]
    var children: [String]
    var threads: Int
    var mappings: [String]

    /// What this process has now. The fork server counts as no child.
    ///
    /// - Parameter hasTasks: Whether threads of Dispatch are left out, which have the names of its queues.
    static func current(hasTasks: Bool) -> Belongings {
        let server = ForkServer.processIdentifier
        let children = Proc.children(of: getpid()).filter { $0 != server }.map {
            "\($0) \(Proc.state(of: $0) ?? "gone")"
        }
        let serverChildren =
            server.map { Proc.children(of: $0).map { "\($0) \(Proc.state(of: $0) ?? "gone") of the server" } } ?? []
        let mappings = Proc.lines("/proc/self/maps").filter { $0.contains("memfd:") || $0.contains("/dev/shm") }
        return Belongings(
            descriptors: Proc.descriptors(),
            children: children + serverChildren,
            threads: Proc.entries("/proc/self/task").count { thread in
                !hasTasks || !Proc.lines("/proc/self/task/\(thread)/comm").contains { $0.contains("-qos") }
            },
            mappings: mappings
        )
    }

    /// What this process has once the children that ended are reaped.
    static func settled(hasTasks: Bool) throws -> Belongings {
        let deadline = ContinuousClock.now + patience
        while true {
            let now = current(hasTasks: hasTasks)
            if now.children.isEmpty { return now }
            if ContinuousClock.now > deadline { throw CheckFailed(description: "children from the start: \(now)") }
            usleep(1000)
        }
    }

    /// Waits until this process has no more than `before`; what ends is let go of by other threads, at once but not in step with the test.
    static func waitUntil(notMoreThan before: Belongings, hasTasks: Bool) throws {
        let deadline = ContinuousClock.now + patience
        while true {
            let now = current(hasTasks: hasTasks)
            let isClean =
                now.descriptors.count <= before.descriptors.count && now.children.count <= before.children.count
                && now.threads <= before.threads
                && now.mappings.count <= before.mappings.count
            if isClean { return }
            if ContinuousClock.now > deadline { throw CheckFailed(description: "left behind: \(now), was \(before)") }
            usleep(1000)
        }
    }
}

/// What the kernel tells of processes.
enum Proc {
    /// The names in a folder.
    static func entries(_ path: String) -> [String] {
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// The lines of a file.
    static func lines(_ path: String) -> [String] {
        guard let file = fopen(path, "re") else { return [] }
        defer { fclose(file) }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { text += buffer[..<count] }
        return String(decoding: text, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// The open descriptors of this process, with what they stand for.
    static func descriptors() -> [String] {
        entries("/proc/self/fd").compactMap { number in
            var target = [CChar](repeating: 0, count: 512)
            let count = readlink("/proc/self/fd/\(number)", &target, 511)
            guard count > 0 else { return nil }
            let text = String(decoding: target[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            // The folder that is being read.
            return text.hasPrefix("/proc/") && text.hasSuffix("/fd") ? nil : "\(number) → \(text)"
        }
    }

    /// The pids of the children of a process, zombies included.
    static func children(of process: Int32) -> [Int32] {
        entries("/proc/\(process)/task").flatMap { task in
            lines("/proc/\(process)/task/\(task)/children").joined(separator: " ").split(separator: " ").compactMap {
                Int32($0)
            }
        }
    }

    /// The letter of a process' state ("R", "S", "Z"), or nil when there is no such process.
    static func state(of process: Int32) -> String? {
        // "pid (name) state …"; the name may hold anything.
        guard let line = lines("/proc/\(process)/stat").first, let end = line.lastIndex(of: ")") else { return nil }
        return line[line.index(after: end)...].split(separator: " ").first.map(String.init)
    }

    /// Whether a process runs: it is there and no zombie.
    static func isRunning(_ process: Int32) -> Bool {
        guard let state = state(of: process) else { return false }
        return state != "Z" && state != "X"
    }

    /// Stops a process, and waits until it has. The signal goes to one of its threads, and the others run on until that one has had the processor.
    static func stop(_ process: Int32) throws {
        kill(process, SIGSTOP)
        try checkEventually("process \(process) is stopped") {
            entries("/proc/\(process)/task").allSatisfy { Int32($0).flatMap(state) == "T" }
        }
    }

    /// Waits until none of the processes runs. Returns those that do at the deadline.
    static func waitForEnd(of processes: [Int32], within limit: Duration) -> [Int32] {
        let deadline = ContinuousClock.now + limit
        while true {
            let running = processes.filter(isRunning)
            if running.isEmpty || ContinuousClock.now > deadline { return running }
            usleep(1000)
        }
    }
}

/// Threads that a test starts itself: neither tasks nor the package's own.
final class TestThreads {
    private final class Body {
        let number: Int
        let run: @Sendable (Int) throws -> Void
        var failure: (any Error)?

        init(_ number: Int, _ run: @escaping @Sendable (Int) throws -> Void) {
            self.number = number
            self.run = run
        }
    }

    private var threads: [(thread: pthread_t, body: Body)] = []

    /// Starts `count` threads that call `run` with their number.
    init(_ count: Int, _ run: @escaping @Sendable (Int) throws -> Void) throws {
        for number in 0..<count {
            let body = Body(number, run)
            var thread = pthread_t()
            let error = pthread_create(
                &thread,
                nil,
                { argument in
                    guard let argument else { return nil }
                    let body = Unmanaged<Body>.fromOpaque(argument).takeUnretainedValue()
                    do { try body.run(body.number) } catch { body.failure = error }
                    return nil
                },
                Unmanaged.passUnretained(body).toOpaque()
            )
            try checkEqual(error, 0)
            threads.append((thread, body))
        }
    }

    /// Waits for their end, and throws what the first of them threw.
    func join() throws {
        for entry in threads { pthread_join(entry.thread, nil) }
        for case let failure? in threads.map(\.body.failure) { throw failure }
    }
}

/// Numbers that are the same in each run (splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
struct Seeded: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// Both ends of a pipe, for tests to see output and to know when something happens.
struct TestPipe {
    let readEnd: Int32
    let writeEnd: Int32

    init() {
        var ends: [Int32] = [-1, -1]
        // In one step: a program that another test starts in between would have the end, too.
        precondition(mp_pipe(&ends) == 0, "a pipe for a test")
        readEnd = ends[0]
        writeEnd = ends[1]
    }

    /// Closes the write end and reads everything up to the end of file.
    func readAll() -> String {
        close(writeEnd)
        defer { close(readEnd) }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while case let count = read(readEnd, &buffer, buffer.count), count > 0 { text += buffer[..<count] }
        return String(decoding: text, as: UTF8.self)
    }
}
