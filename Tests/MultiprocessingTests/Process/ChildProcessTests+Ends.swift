// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

@Sendable private func overflow(_ n: Int) -> Int {
    var values = (n, n + 1, n + 2, n + 3)
    return withUnsafeBytes(of: &values) { $0.count } + overflow(n + 1) + values.0
}

private struct Refusal: Error {
    var reason: String
}

/// How a child ends, and what is left of it.
extension ChildProcessTests {
    @Test func `every way to end is told apart`() async throws {
        try await isolated {
            try checkEqual(Self.exitCode {}, 0)
            try checkEqual(Self.exitCode { exit(7) }, 7)
            try checkEqual(Self.exitCode { _exit(9) }, 9)
            try checkEqual(Self.exitCode { exit(256 + 3) }, 3)
            try checkEqual(Self.exitCode { abort() }, -SIGABRT)
            try checkEqual(Self.exitCode { raise(SIGSEGV) }, -SIGSEGV)
            try checkEqual(Self.exitCode { raise(SIGKILL) }, -SIGKILL)
            try checkEqual(Self.exitCode { raise(SIGUSR1) }, -SIGUSR1)
            try check([-SIGILL, -SIGTRAP].contains(Self.exitCode { fatalError("on purpose") }))
            try checkEqual(Self.exitCode { exit(Int32(overflow(0) & 1)) }, -SIGSEGV)
            try checkEqual(Self.exitCode { throw Refusal(reason: "no") }, 1)
            try checkEqual(Self.exitCode { close(1) }, 0)
            try checkEqual(Self.exitCode { for descriptor: Int32 in 0..<256 { close(descriptor) } }, 0)
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
            let text = try Self.output(descriptor: 2) { throw Refusal(reason: "out of paper") }
            try check(text.contains("Process-") && text.contains("Refusal") && text.contains("out of paper"), text)
        }
    }

    @Test func `the fatal error of a child stands on standard error`() async throws {
        try await isolated {
            let text = try Self.output(descriptor: 2) { fatalError("the very end") }
            try check(text.contains("Fatal error: the very end"), text)
        }
    }

    @Test func `exit handlers and buffered output of a child are not lost`() async throws {
        try await isolated {
            let text = try Self.output {
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
}
