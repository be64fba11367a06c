// SPDX-License-Identifier: Apache-2.0

import CLaboratory
import Glibc
import Multiprocessing
import Synchronization
import Testing

private struct CodedError: Error, Codable, Equatable {
    var code: Int
    var detail: [String]
}

private enum PlainError: Error {
    case spoiled(Int)
}

private struct Unencodable: Codable, Sendable {
    func encode(to encoder: any Encoder) throws { throw CodedError(code: 77, detail: []) }
    init() {}
    init(from decoder: any Decoder) throws {}
}

private func fibonacci(_ n: Int) -> Int { n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2) }

private func slow(_ n: Int) async throws -> Int {
    try await Task.sleep(for: .milliseconds(1))
    return n
}

/// One call in a process of its own.
@Suite(.timeLimit(.minutes(30)), .serialized, .leavesNothing)
struct RunTests {
    @Test func `a call returns its result`() async throws {
        #expect(try await ChildProcess.run { fibonacci(15) } == 610)
        #expect(try await ChildProcess.run(target: fibonacci, arguments: 10) == 55)
        #expect(try await ChildProcess.run { try await slow(4) } == 4)
        #expect(try await ChildProcess.run(target: slow, arguments: 5) == 5)
        let _: Void = try await ChildProcess.run { print("", terminator: "") }
        try await isolated {
            try checkEqual(try ChildProcess.run { fibonacci(12) }, 144)
            try checkEqual(try ChildProcess.run(target: fibonacci, arguments: 11), 89)
            try ChildProcess.run { _ = usleep(1) }
        }
    }

    @Test func `tasks, groups, sleep and the main actor work in a child`() async throws {
        let result = try await ChildProcess.run {
            let sum = await withTaskGroup(of: Int.self) { group in
                for n in 1...10 { group.addTask { (try? await slow(n)) ?? 0 } }
                return await group.reduce(0, +)
            }
            let onMain = await MainActor.run { "main" }
            return "\(sum) \(onMain)"
        }
        #expect(result == "55 main")
    }

    @Test func `a synchronous body runs on the main thread`() async throws {
        #expect(try await ChildProcess.run { laboratory_thread_id() == getpid() } == true)
    }

    @Test func `large arguments and results arrive whole`() async throws {
        let numbers = (0..<1_000_000).map { $0 ^ 0x55 }
        let back = try await ChildProcess.run { numbers.map { $0 ^ 0x55 } }
        #expect(back == Array(0..<1_000_000))
        let text = String(repeating: "äöü", count: 400_000)
        #expect(try await ChildProcess.run(target: { (text: String) in text + "!" }, arguments: text) == text + "!")
    }

    @Test func `a constant array captured alone arrives in another process`() async throws {
        let list = [1, 2, 3]
        #expect(try await ChildProcess.run { list.count } == 3)
        let words = ["a", "b"]
        #expect(try await ChildProcess.run { words.joined() } == "ab")
    }

    @Test func `hundreds of descriptors arrive with one message, both ways`() async throws {
        try await isolated {
            let values = try (0..<300).map { try SharedValue($0) }
            let sum = try ChildProcess.run(
                target: { (values: [SharedValue<Int>]) in
                    for value in values { value.value += 1 }
                    return values.reduce(0) { $0 + $1.value }
                },
                arguments: values
            )
            try checkEqual(sum, 300 * 299 / 2 + 300)
            let made = try ChildProcess.run { try (0..<300).map { try SharedValue($0 * 2) } }
            try checkEqual(made.map(\.value), (0..<300).map { $0 * 2 })
        }
    }

    @Test func `an outcome that cannot be received is an error that says so`() async throws {
        try await isolated {
            var before = rlimit()
            getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &before)
            defer { setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &before) }
            // Four descriptors are enough for a start, and too few for this result.
            let free = (0..<4).map { _ in dup(1) }
            var tight = before
            tight.rlim_cur = rlim_t(free.reduce(0, max) + 1)
            for descriptor in free { close(descriptor) }
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &tight)
            do {
                _ = try ChildProcess.run { try (0..<6).map { try SharedValue($0) } }
                try check(false, "an outcome without room for it was received")
            } catch let error as ProcessError { try checkEqual(error.code, .outcomeNotReceived) }
        }
    }

    @Test func `a link closed by the body costs no processor time`() async throws {
        try await isolated {
            let before = clock()
            do {
                _ = try ChildProcess.run(timeout: .milliseconds(300)) { () -> Int in
                    for descriptor: Int32 in 3..<64 { close(descriptor) }
                    while true { pause() }
                }
                try check(false, "no timeout")
            } catch is TimeoutError {}
            try check(clock() - before < 150_000, "\(clock() - before) µs")
        }
    }

    @Test func `a call that cannot be waited for any longer is killed`() async throws {
        try await isolated {
            let (entered, pid) = (try Event(), try SharedAtomic(Int32(0)))
            signal(SIGUSR1) { _ in }
            defer { signal(SIGUSR1, SIG_DFL) }
            var before = rlimit()
            getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &before)
            defer { setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &before) }
            let waiter = pthread_self()
            let threads = try TestThreads(1) { _ in
                try entered.wait()
                // poll(2) refuses lists that are longer than the number of files that may be open.
                var none = rlimit()
                getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &none)
                none.rlim_cur = 1
                setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &none)
                pthread_kill(waiter, SIGUSR1)
            }
            do {
                _ = try ChildProcess.run { () -> Int in
                    pid.store(getpid())
                    entered.set()
                    while true { pause() }
                }
                try check(false, "a wait without descriptors ended")
            } catch is SystemError {
                // In the wait,
            } catch is ProcessError {
                // or when the child said who it is.
            }
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &before)
            try threads.join()
            try checkEqual(Proc.waitForEnd(of: [pid.load()], within: .seconds(60)), [])
        }
    }

    // MARK: - Errors

    @Test func `an error keeps its type where it is Codable`() async throws {
        let error = await #expect(throws: CodedError.self) {
            try await ChildProcess.run { () throws -> Int in throw CodedError(code: 4, detail: ["a", "b"]) }
        }
        #expect(error == CodedError(code: 4, detail: ["a", "b"]))
    }

    @Test func `another error arrives in words`() async throws {
        let error = await #expect(throws: RemoteError.self) {
            try await ChildProcess.run { () throws -> Int in throw PlainError.spoiled(3) }
        }
        #expect(error?.typeName.contains("PlainError") == true)
        #expect(error?.message.contains("spoiled(3)") == true)
        #expect(error?.processName.hasPrefix("Process-") == true)
        let later = await #expect(throws: RemoteError.self) {
            try await ChildProcess.run { () async throws -> Int in
                try await Task.sleep(for: .milliseconds(1))
                throw PlainError.spoiled(4)
            }
        }
        #expect(later?.message.contains("spoiled(4)") == true)
    }

    @Test func `a result that cannot be encoded is the error of the call`() async throws {
        let error = await #expect(throws: CodedError.self) { try await ChildProcess.run { Unencodable() } }
        #expect(error?.code == 77)
    }

    // MARK: - Time

    @Test func `a call is killed at its deadline`() async throws {
        let error = await #expect(throws: TimeoutError.self) {
            try await ChildProcess.run(timeout: .milliseconds(50)) { () -> Int in
                while true { usleep(100_000) }
            }
        }
        #expect(error?.timeout == .milliseconds(50))
        try await isolated {
            do {
                _ = try ChildProcess.run(timeout: .milliseconds(20)) { () -> Int in
                    while true { usleep(100_000) }
                }
                try check(false, "no timeout")
            } catch is TimeoutError {}
            try checkEqual(ChildProcess.activeChildren.count, 0)
        }
    }

    @Test func `cancelling the task kills the process`() async throws {
        let pipe = TestPipe()
        let path = "/proc/\(getpid())/fd/\(pipe.writeEnd)"
        let task = Task {
            try await ChildProcess.run { () -> Int in
                let descriptor = open(path, O_WRONLY)
                var pid = getpid()
                write(descriptor, &pid, 4)
                while true { pause() }
            }
        }
        var pid: Int32 = 0
        while read(pipe.readEnd, &pid, 4) != 4 {}
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(Proc.waitForEnd(of: [pid], within: .seconds(60)) == [])
        _ = pipe.readAll()
    }

    @Test func `cancelling a task that joins ends the wait at once, and the process goes on`() async throws {
        let gate = try Event()
        let process = ChildProcess { try gate.wait() }
        try process.start()
        let joining = Task { try await process.join() }
        joining.cancel()
        await #expect(throws: CancellationError.self) { try await joining.value }
        #expect(process.isAlive)
        gate.set()
        try await process.join()
        #expect(process.exitCode == 0)
        try process.close()
    }

    @Test func `a result counts although the process does not manage to exit`() async throws {
        let result = try await ChildProcess.run { () -> Int in
            atexit { while true { pause() } }
            return 5
        }
        #expect(result == 5)
    }

    @Test func `what cannot be carried is refused in the caller, and nothing is started`() async throws {
        final class Opaque: Sendable { let value = 1 }
        try await isolated {
            let opaque = Opaque()
            let before = ProcessIdentifiers.started
            do {
                _ = try ChildProcess.run { opaque.value }
                try check(false, "an object that is not Codable was carried")
            } catch let error as FunctionNotPortable {
                try check(error.description.contains("Opaque"), error.description)
            }
            for method in [StartMethod.forkServer, .spawn] {
                let process = ChildProcess(startMethod: method) { _ = opaque.value }
                _ = try checkThrows(FunctionNotPortable.self) { try process.start() }
                try checkEqual(process.processIdentifier, nil)
            }
            try checkEqual(ProcessIdentifiers.started, before)
            try checkEqual(Proc.children(of: getpid()).filter { $0 != ForkServer.processIdentifier }, [])
        }
    }
}

/// How many processes the server of this process has.
private enum ProcessIdentifiers {
    static var started: Int { ForkServer.processIdentifier.map { Proc.children(of: $0).count } ?? 0 }
}
