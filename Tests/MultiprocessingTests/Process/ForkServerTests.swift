// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// A table that a preload fills and children read.
private enum Tables {
    nonisolated(unsafe) static var squares: [Int] = []
}

/// What no closure can take along.
private final class Secret: Sendable {
    let number: Int32

    /// Made where the optimiser does not see how, so that it is captured and not made anew.
    @inline(never)
    init() {
        number = CommandLine.argc
    }
}

private func sumOfThree(_ a: Int, _ b: Int, _ c: Int) -> Int { a + b + c }

/// The server: what it prepares, and what happens when it dies.
@Suite(.timeLimit(.minutes(30)), .serialized, .leavesNothing)
struct ForkServerTests {
    @Test func `what is preloaded is there in every child`() async throws {
        let sums = try await ChildProcess.run {
            let factor = 1
            try ForkServer.preload { Tables.squares = (0..<100).map { $0 * $0 * factor } }
            let sums = try (0..<3).map { _ in try ChildProcess.run { Tables.squares.reduce(0, +) } }
            do {
                try ForkServer.preload {}
                throw CheckFailed(description: "a preload after the first start was taken")
            } catch is ProcessError {}
            return sums
        }
        #expect(sums == [328_350, 328_350, 328_350])
    }

    @Test(arguments: [0, 1, 4])
    func `children start with any number of spares`(_ spares: Int) async throws {
        try await isolated {
            try ForkServer.setSpares(spares)
            for n in 0..<20 { try checkEqual(try ChildProcess.run { n * 2 }, n * 2) }
            // Those that are ready go with their server.
            if let server = ForkServer.processIdentifier { kill(server, SIGKILL) }
        }
    }

    @Test func `a dead server is replaced, and its children end`() async throws {
        try await isolated {
            let child = ChildProcess { while true { pause() } }
            try child.start()
            guard let server = ForkServer.processIdentifier else { throw CheckFailed(description: "no server") }
            kill(server, SIGKILL)
            try checkEqual(try child.join(timeout: .seconds(60)), true)
            try checkEqual(child.exitStatus, .signaled(.kill))
            try checkEqual(try ChildProcess.run { 5 }, 5)
            try check(ForkServer.processIdentifier != server)
        }
    }

    @Test func `a server killed at any moment costs at most the children of that moment`() async throws {
        try await isolated {
            var random = Seeded(seed: 2024)
            var done = 0
            var lost = 0
            for round in 0..<150 {
                let delay = UInt32.random(in: 0..<4000, using: &random)
                // Another process kills the server while this one starts a child: before, during or after.
                guard let server = ForkServer.processIdentifier else {
                    try checkEqual(try ChildProcess.run { 0 }, 0)
                    continue
                }
                let killer = ChildProcess(startMethod: .fork) {
                    usleep(delay)
                    kill(server, SIGKILL)
                }
                try killer.start()
                for n in 0..<3 {
                    do {
                        try checkEqual(try ChildProcess.run(target: sumOfThree, arguments: round, n, 1), round + n + 1)
                        done += 1
                    } catch let error as ProcessLost {
                        try checkEqual(error.status, .signaled(.kill))
                        lost += 1
                    }
                }
                try killer.join()
            }
            try check(done > 150, "\(done) done, \(lost) lost")
        }
    }

    @Test func `a server killed while it starts is replaced, and who waits for it gets his child`() async throws {
        try await apart(timeout: .seconds(300)) {
            let path = "/tmp/mp-preload-\(getpid())"
            close(open(path, O_CREAT | O_WRONLY, 0o600))
            // Only the first server finds the file.
            try ForkServer.preload { if unlink(path) == 0 { while true { pause() } } }
            let killer = try TestThreads(1) { _ in
                while access(path, F_OK) == 0 { usleep(1000) }
                guard let server = ForkServer.processIdentifier else { throw CheckFailed(description: "no server") }
                kill(server, SIGKILL)
            }
            try checkEqual(try ChildProcess.run { 7 }, 7)
            try killer.join()
        }
    }

    @Test func `servers that are killed while they start, again and again, are given up`() async throws {
        try await apart(timeout: .seconds(300)) {
            try ForkServer.preload { kill(getpid(), SIGKILL) }
            do {
                try ChildProcess {}.start()
                try check(false, "a child was started")
            } catch let error as ProcessError { try checkEqual(error.code, .serverFailed) }
        }
    }

    @Test func `a first start whose job cannot be encoded leaves no server, and time for a preload`() async throws {
        try await apart(timeout: .seconds(300)) {
            let secret = Secret()
            let error = try checkThrows(FunctionNotPortable.self) { try ChildProcess { keep(secret.number) }.start() }
            keep(error)
            try checkEqual(ForkServer.processIdentifier, nil)
            try ForkServer.preload { Tables.squares = [7] }
            try checkEqual(try ChildProcess.run { Tables.squares }, [7])
            // No second time: there has been a server.
            _ = try checkThrows(FunctionNotPortable.self) { try ChildProcess { keep(secret.number) }.start() }
            try check(ForkServer.processIdentifier != nil)
            try checkEqual(try ChildProcess.run { Tables.squares }, [7])
        }
    }

    @Test func `a spare killed before its job is replaced`() async throws {
        try await isolated {
            let refused = try checkThrows(ProcessError.self) { try ForkServer.setSpares(-1) }
            try checkEqual(refused.code, .invalidArgument)
            try ForkServer.setSpares(3)
            for n in 0..<10 {
                if let server = ForkServer.processIdentifier {
                    for spare in Proc.children(of: server) { kill(spare, SIGKILL) }
                }
                // Killed with its job in hand it is lost, with nobody else.
                do { try checkEqual(try ChildProcess.run { n }, n) } catch let error as ProcessLost {
                    try checkEqual(error.code, .killed)
                }
            }
            if let server = ForkServer.processIdentifier { kill(server, SIGKILL) }
        }
    }
}
