// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

@Suite(.timeLimit(.minutes(30)), .serialized, .leavesNothing)
struct ChildProcessTests {
    // MARK: - Helpers

    /// Runs `body` in a child and returns how that ended.
    static func exitCode(
        _ method: StartMethod = .forkServer,
        _ body: @escaping @Sendable () throws -> Void
    ) throws -> Int32? {
        let process = ChildProcess(startMethod: method, body)
        try process.start()
        try process.join()
        return process.exitCode
    }

    /// Runs `body` in a child whose standard output is a pipe, and returns what it wrote.
    static func output(descriptor: Int32 = 1, _ body: @escaping @Sendable () throws -> Void) throws -> String {
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

    // MARK: - Life

    @Test func `a child runs its body in another process`() async throws {
        try await isolated {
            let parent = getpid()
            try checkEqual(Self.exitCode { exit(getpid() != parent ? 0 : 1) }, 0)
            try checkEqual(Self.output { print("Worker process is running") }, "Worker process is running\n")
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
}
