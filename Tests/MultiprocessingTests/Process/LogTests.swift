// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// The package's log: silent unless asked, then told by level and process, and passed on to children.
@Suite(.timeLimit(.minutes(30)), .serialized, .leavesNothing)
struct LogTests {
    /// Runs `body` with standard error in a pipe, and returns what was written to it.
    private static func errors(_ body: () throws -> Void) throws -> String {
        let pipe = TestPipe()
        let saved = dup(2)
        dup2(pipe.writeEnd, 2)
        defer { close(saved) }
        do {
            try body()
        } catch {
            dup2(saved, 2)
            throw error
        }
        dup2(saved, 2)
        return pipe.readAll()
    }

    @Test func `nothing is logged unless asked for`() async throws {
        try await isolated {
            let text = try Self.errors { _ = try ChildProcess.run { 1 } }
            try checkEqual(text, "")
        }
    }

    @Test func `starts and ends are logged by level, in children as well`() async throws {
        try await isolated {
            let text = try Self.errors {
                Multiprocessing.logToStandardError(level: .debug)
                try ChildProcess.run {
                    let inner = ChildProcess(name: "inner") {}
                    try inner.start()
                    try inner.join()
                }
            }
            let name = ChildProcess.current.name
            try check(text.contains("[DEBUG/\(name)] started \(name):"), text)
            try check(text.contains("[DEBUG/\(name):") && text.contains("started inner"), text)
        }
    }

    @Test func `a handler gets the lines instead`() async throws {
        try await isolated {
            let pipe = TestPipe()
            let end = pipe.writeEnd
            Multiprocessing.setLogHandler(level: .warning) { level, message in
                let line = "\(level) \(message)\n"
                _ = write(end, line, line.utf8.count)
            }
            guard let server = ForkServer.processIdentifier else { throw CheckFailed(description: "no server") }
            kill(server, SIGKILL)
            while ForkServer.processIdentifier == server { usleep(1000) }
            _ = try ChildProcess.run { 1 }
            Multiprocessing.logToStandardError(level: .error)
            let text = pipe.readAll()
            try check(text.hasPrefix("WARNING the fork server (pid \(server)) ended"), text)
        }
    }
}
