// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Synchronization
import Testing

private func exitCode(
    _ method: StartMethod = .forkServer,
    _ body: @escaping @Sendable () throws -> Void
) throws -> Int32? {
    let process = ChildProcess(startMethod: method, body)
    try process.start()
    try process.join()
    return process.exitCode
}

@Sendable private func overflow(_ n: Int) -> Int {
    var values = (n, n + 1, n + 2, n + 3)
    return withUnsafeBytes(of: &values) { $0.count } + overflow(n + 1) + values.0
}

/// Whether the environment has been changed often enough.
private let isChanged = Atomic<Bool>(false)

private struct Refusal: Error {
    var reason: String
}

/// Runs `body` in a child whose standard output is a pipe, and returns what it wrote.
private func output(descriptor: Int32 = 1, _ body: @escaping @Sendable () throws -> Void) throws -> String {
    let pipe = TestPipe()
    let saved = dup(descriptor)
    dup2(pipe.writeEnd, descriptor)
    let process = ChildProcess(body)
    try process.start()
    dup2(saved, descriptor)
    close(saved)
    try process.join()
    return pipe.readAll()
}

/// One child at a time: its life, its end, what it sees.
@Suite(.timeLimit(.minutes(30)), .serialized, .leavesNothing)
struct ChildProcessTests {
    // MARK: - Life

    @Test func `a child runs its body in another process`() async throws {
        try await isolated {
            let parent = getpid()
            try checkEqual(exitCode { exit(getpid() != parent ? 0 : 1) }, 0)
            try checkEqual(output { print("Worker process is running") }, "Worker process is running\n")
        }
    }

    @Test func `a child gets its arguments`() async throws {
        try await isolated {
            @Sendable func task(_ name: Int, _ words: [String]) throws { exit(Int32(name + words.count)) }
            let process = ChildProcess(target: task, arguments: 40, ["a", "b"], name: "task")
            try process.start()
            try process.join()
            try checkEqual(process.exitCode, 42)
            try checkEqual(process.name, "task")
        }
    }

    @Test func `a process tells what state it is in`() async throws {
        try await isolated {
            let pipe = TestPipe()
            let gate = pipe.readEnd
            let process = ChildProcess(startMethod: .fork) {
                var byte: UInt8 = 0
                _ = read(gate, &byte, 1)
            }
            try check(
                process.processIdentifier == nil && process.exitCode == nil && !process.isAlive,
                "before the start"
            )
            try check("\(process)".contains("initial"))
            try process.start()
            try check(process.isAlive && process.exitCode == nil && process.processIdentifier != nil, "while it runs")
            try check("\(process)".contains("started"))
            try checkEqual(try process.join(timeout: .zero), false)
            try checkEqual(try process.join(timeout: .milliseconds(-5)), false)
            try checkEqual(try process.join(timeout: .milliseconds(20)), false)
            try check(ChildProcess.activeChildren.contains { $0 === process })
            do {
                try process.close()
                try check(false, "a running process was closed")
            } catch let error as ProcessError { try checkEqual(error.code, .stillRunning) }
            var byte: UInt8 = 1
            _ = write(pipe.writeEnd, &byte, 1)
            try checkEqual(try process.join(), true)
            try checkEqual(try process.join(), true)
            try check(!process.isAlive && process.exitCode == 0 && process.exitStatus == .exited(0), "after its end")
            try check(!ChildProcess.activeChildren.contains { $0 === process })
            try process.close()
            try process.close()
            do {
                _ = try process.join()
                try check(false, "a closed process was joined")
            } catch let error as ProcessError { try checkEqual(error.code, .closed) }
            _ = pipe.readAll()
        }
    }

    @Test func `calls out of turn are errors`() async throws {
        try await isolated {
            let process = ChildProcess {}
            for call in [
                { _ = try process.join() }, { try process.kill() }, { try process.terminate() },
                { _ = try process.sentinel },
            ] {
                do {
                    try call()
                    try check(false, "a process that was not started took a call")
                } catch let error as ProcessError { try checkEqual(error.code, .notStarted) }
            }
            try process.start()
            do {
                try process.start()
                try check(false, "a process was started twice")
            } catch let error as ProcessError { try checkEqual(error.code, .alreadyStarted) }
            try process.join()
            try process.kill()
            try process.terminate()
        }
    }

    @Test func `a copy of this process is refused in a task, and for an asynchronous body`() async throws {
        #expect { try ChildProcess(startMethod: .fork) {}.start() } throws: {
            ($0 as? ProcessError)?.code == .startMethodUnsupported && "\($0)".contains("inside a Swift task")
        }
        try await isolated {
            let child = ChildProcess(startMethod: .fork) { await Task.yield() }
            do {
                try child.start()
                try check(false, "an asynchronous body was forked")
            } catch let error as ProcessError {
                try checkEqual(error.code, .startMethodUnsupported)
                try check(error.description.contains("asynchronous"), error.description)
            }
            try checkEqual(child.processIdentifier, nil)
        }
    }

    @Test func `a start without time starts nothing and can be tried again`() async throws {
        try await isolated {
            let process = ChildProcess { exit(4) }
            do {
                try process.start(timeout: .zero)
            } catch is TimeoutError {
                try checkEqual(process.processIdentifier, nil)
                try process.start(timeout: .seconds(60))
            }
            try process.join()
            try checkEqual(process.exitCode, 4)
        }
        let child = ChildProcess { exit(5) }
        try await child.start(timeout: nil)
        try await child.join()
        #expect(child.exitCode == 5)
    }

    @Test func `a sentinel becomes readable at the end`() async throws {
        try await isolated {
            let mayEnd = try Event()
            let process = ChildProcess { _ = try mayEnd.wait(timeout: .seconds(60)) }
            try process.start()
            var wait = pollfd(fd: try process.sentinel, events: Int16(POLLIN), revents: 0)
            try checkEqual(poll(&wait, 1, 0), 0)
            mayEnd.set()
            try checkEqual(poll(&wait, 1, 60_000), 1)
            try checkEqual(process.exitCode, 0)
        }
    }

    @Test(arguments: [StartMethod.forkServer, .spawn, .fork])
    func `when a sentinel is readable the exit code is known`(_ method: StartMethod) async throws {
        try await isolated {
            for round in 0..<40 {
                // Killed, it announces nothing: how it ended is known to whoever reaps it.
                let process = ChildProcess(startMethod: method) { while true { pause() } }
                try process.start()
                var wait = pollfd(fd: try process.sentinel, events: Int16(POLLIN), revents: 0)
                try process.kill()
                try checkEqual(poll(&wait, 1, 60_000), 1)
                try checkEqual(process.exitCode, -SIGKILL)
                // One that is asked for later is readable at once.
                let other = ChildProcess(startMethod: method) { exit(Int32(round)) }
                try other.start()
                try other.join()
                wait.fd = try other.sentinel
                try checkEqual(poll(&wait, 1, 0), 1)
                try checkEqual(other.exitCode, Int32(round))
            }
        }
    }

    @Test func `names count the children of each process`() async throws {
        let names = try await ChildProcess.run {
            let first = ChildProcess {}
            let second = ChildProcess(name: "own") {}
            let inner = try ChildProcess.run { [ChildProcess.current.name, ChildProcess {}.name] }
            return [first.name, second.name, ChildProcess {}.name] + inner
        }
        let base = names[0].dropLast(2)
        #expect(names == ["\(base):1", "own", "\(base):4", "\(base):3", "\(base):3:1"])
        #expect(base.hasPrefix("Process-"))
    }

    @Test func `a child knows itself and its parent`() async throws {
        try await isolated {
            let parent = getpid()
            let result = try ChildProcess.run {
                let current = ChildProcess.current
                guard let above = ChildProcess.parent else { throw CheckFailed(description: "no parent") }
                try check(current.isAlive && current.processIdentifier == getpid())
                try check(above.isAlive && above.processIdentifier == parent)
                try checkEqual(try above.join(timeout: .zero), false)
                return above.name
            }
            try checkEqual(result, ChildProcess.current.name)
        }
        #expect(ChildProcess.parent == nil)
        #expect(ChildProcess.current.name == "MainProcess")
    }

    @Test func `children of a daemon are daemons unless told otherwise`() async throws {
        let flags = try await ChildProcess.run {
            [ChildProcess.current.isDaemon, ChildProcess {}.isDaemon, ChildProcess(daemon: false) {}.isDaemon]
        }
        #expect(flags == [true, true, false])
        #expect(ChildProcess {}.isDaemon == false)
    }

    // MARK: - Ends

    @Test func `every way to end is told apart`() async throws {
        try await isolated {
            try checkEqual(exitCode {}, 0)
            try checkEqual(exitCode { exit(7) }, 7)
            try checkEqual(exitCode { _exit(9) }, 9)
            try checkEqual(exitCode { exit(256 + 3) }, 3)
            try checkEqual(exitCode { abort() }, -SIGABRT)
            try checkEqual(exitCode { raise(SIGSEGV) }, -SIGSEGV)
            try checkEqual(exitCode { raise(SIGKILL) }, -SIGKILL)
            try checkEqual(exitCode { raise(SIGUSR1) }, -SIGUSR1)
            try check([-SIGILL, -SIGTRAP].contains(exitCode { fatalError("on purpose") }))
            try checkEqual(exitCode { exit(Int32(overflow(0) & 1)) }, -SIGSEGV)
            try checkEqual(exitCode { throw Refusal(reason: "no") }, 1)
            try checkEqual(exitCode { close(1) }, 0)
            try checkEqual(exitCode { for descriptor: Int32 in 0..<256 { close(descriptor) } }, 0)
        }
    }

    @Test func `the signals of terminate, kill and interrupt end a child`() async throws {
        try await isolated {
            for (expected, stop) in [
                (SIGTERM, { (process: ChildProcess) in try process.terminate() }), (SIGKILL, { try $0.kill() }),
                (SIGINT, { try $0.interrupt() }),
            ] {
                let process = ChildProcess { while true { pause() } }
                try process.start()
                try stop(process)
                try process.join()
                try checkEqual(process.exitCode, -expected)
            }
        }
    }

    @Test func `an error thrown by the body stands on standard error`() async throws {
        try await isolated {
            let text = try output(descriptor: 2) { throw Refusal(reason: "out of paper") }
            try check(text.contains("Process-") && text.contains("Refusal") && text.contains("out of paper"), text)
        }
    }

    @Test func `the fatal error of a child stands on standard error`() async throws {
        try await isolated {
            let text = try output(descriptor: 2) { fatalError("the very end") }
            try check(text.contains("Fatal error: the very end"), text)
        }
    }

    @Test func `exit handlers and buffered output of a child are not lost`() async throws {
        try await isolated {
            let text = try output {
                atexit { print("handler") }
                print("body", terminator: " ")
            }
            try checkEqual(text, "body handler\n")
        }
    }

    @Test(arguments: [StartMethod.forkServer, .spawn, .fork])
    func `when a child is joined what it held is free, and what it wrote is there`(_ method: StartMethod) async throws {
        try await isolated {
            var folder = Array("/tmp/mp-test-XXXXXX".utf8CString)
            let path = String(cString: mkdtemp(&folder)) + "/file"
            close(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600))
            let lock = try Lock()
            for round in 0..<60 {
                // Each third holds a file lock, a lock of this package, or only text that it has not written yet.
                let child = ChildProcess(startMethod: method) {
                    switch round % 3 {
                    case 0: flock(open(path, O_RDWR), LOCK_EX)
                    case 1: try lock.acquire()
                    default: fputs("round \(round)\n", fopen(path, "w"))
                    }
                }
                try child.start()
                try child.join()
                try checkEqual(child.exitCode, 0)
                switch round % 3 {
                case 0:
                    let file = open(path, O_RDWR | O_CLOEXEC)
                    try checkEqual(flock(file, LOCK_EX | LOCK_NB), 0)
                    close(file)
                case 1:
                    do {
                        try check(try lock.acquire(timeout: .zero), "the lock is held")
                    } catch is OwnerDied {
                        try lock.recover {}
                        continue
                    }
                    try lock.release()
                default: try checkEqual(Proc.lines(path), ["round \(round)"])
                }
            }
            unlink(path)
            rmdir(String(path.dropLast(5)))
        }
    }

    // MARK: - What a child sees

    @Test(arguments: [StartMethod.forkServer, .spawn, .fork])
    func `a child sees the surroundings of the moment`(_ method: StartMethod) async throws {
        try await isolated {
            var folder = Array("/tmp/mp-test-XXXXXX".utf8CString)
            let path = String(cString: mkdtemp(&folder))
            chdir(path)
            setenv("MP_TEST_VARIABLE", "of the moment", 1)
            unsetenv("HOME")
            umask(0o027)
            let seen = try strings(of: method) {
                let mask = umask(0)
                let home = getenv("HOME")
                return [
                    String(cString: getcwd(nil, 0)), String(cString: getenv("MP_TEST_VARIABLE")),
                    String(mask, radix: 8), home == nil ? "none" : "some",
                ]
            }
            try checkEqual(seen, [path, "of the moment", "27", "none"])
            chdir("/")
            setenv("MP_TEST_VARIABLE", "changed", 1)
            let later = try strings(of: method) {
                [String(cString: getcwd(nil, 0)), String(cString: getenv("MP_TEST_VARIABLE"))]
            }
            try checkEqual(later, ["/", "changed"])
            rmdir(path)
        }
    }

    /// What a child by that method finds.
    private func strings(of method: StartMethod, _ body: @escaping @Sendable () -> [String]) throws -> [String] {
        let (here, there) = try Connection.pipe()
        let process = ChildProcess(startMethod: method) { try there.send(body()) }
        try process.start()
        defer { _ = try? process.join() }
        return try here.receive([String].self, timeout: .seconds(60))
    }

    @Test func `the environment is sent whole while another thread changes it`() async throws {
        try await isolated {
            var thread = pthread_t()
            setenv("MP_TEST_VARIABLE", "short", 1)
            // The variable is there all the time, long or short.
            pthread_create(
                &thread,
                nil,
                { _ in
                    let long = String(repeating: "long", count: 500)
                    while !isChanged.load(ordering: .relaxed) {
                        setenv("MP_TEST_VARIABLE", long, 1)
                        setenv("MP_TEST_VARIABLE", "short", 1)
                    }
                    return nil
                },
                nil
            )
            defer {
                isChanged.store(true, ordering: .relaxed)
                pthread_join(thread, nil)
            }
            for _ in 0..<300 {
                let length = try ChildProcess.run { getenv("MP_TEST_VARIABLE").map { strlen($0) } }
                try check(length == 5 || length == 2000, "\(String(describing: length))")
            }
        }
    }

    @Test(arguments: [StartMethod.forkServer, .spawn])
    func `no descriptor of the parent reaches a child`(_ method: StartMethod) async throws {
        try await isolated {
            // Opened without close-on-exec, as C libraries do.
            let open = (0..<20).map { _ in dup(1) }
            let pipe = TestPipe()
            let saved = dup(1)
            dup2(pipe.writeEnd, 1)
            let process = ChildProcess(startMethod: method) {
                for descriptor in Proc.descriptors() { print(descriptor) }
            }
            try process.start()
            dup2(saved, 1)
            close(saved)
            try process.join()
            for descriptor in open { close(descriptor) }
            let lines = pipe.readAll().split(separator: "\n")
            // The standard three, the link, the pidfd of the parent; by `.spawn` a daemon, as the children of this process are, has its lifeline.
            let kinds = lines.map { $0.split(separator: " ").dropFirst(2).joined(separator: " ").prefix { $0 != ":" } }
            try check(kinds.count { $0 == "socket" } == 1, "\(kinds)")
            try check(lines.count == (method == .spawn ? 6 : 5), lines.joined(separator: ", "))
        }
    }

    @Test func `a parent without standard input has children`() async throws {
        try await isolated {
            close(0)
            try checkEqual(try ChildProcess.run { fcntl(0, F_GETFD) >= 0 }, true)
            let spawned = ChildProcess(startMethod: .spawn) { exit(fcntl(0, F_GETFD) >= 0 ? 5 : 6) }
            try spawned.start()
            try spawned.join()
            try checkEqual(spawned.exitCode, 5)
            // As it was, so that nothing seems left behind or lost.
            _ = open("/dev/null", O_RDONLY)
        }
    }
}
