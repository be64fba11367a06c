// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

import enum Multiprocessing.ExitStatus

/// Children whose status somebody else takes: the kernel, where SIGCHLD is ignored, or a wait elsewhere in the program.
@Suite(.timeLimit(.minutes(30)), .serialized, .leavesNothing)
struct ReapedElsewhereTests {
    @Test(arguments: [StartMethod.forkServer, .spawn, .fork])
    func `the end of a child is seen where SIGCHLD is ignored`(_ method: StartMethod) async throws {
        try await isolated {
            signal(SIGCHLD, SIG_IGN)
            defer { signal(SIGCHLD, SIG_DFL) }
            try checkEnd(.signaled(.kill), ChildProcess(startMethod: method) { while true { pause() } }) {
                try $0.kill()
            }
            // What a child says itself needs nobody to reap it.
            for _ in 0..<(method == .fork ? 300 : 1) {
                try checkEnd(.exited(3), ChildProcess(startMethod: method) { exit(3) })
            }
            try checkEnd(.signaled(.abort), ChildProcess(startMethod: method) { abort() })
        }
    }

    @Test(arguments: [StartMethod.spawn, .fork])
    func `the end of a child is seen when another reaps it`(_ method: StartMethod) async throws {
        try await isolated {
            let child = ChildProcess(startMethod: method) { while true { pause() } }
            try checkEnd(.signaled(.kill), child) { child in
                // Whoever is first, the package's own thread or this one, the other finds nothing.
                try child.kill()
                while waitpid(child.processIdentifier ?? 0, nil, 0) < 0, errno == EINTR {}
            }
        }
    }

    @Test func `a call is lost, and does not hang, where SIGCHLD is ignored`() async throws {
        try await apart(timeout: .seconds(300)) {
            signal(SIGCHLD, SIG_IGN)
            StartMethod.default = .spawn
            do {
                _ = try ChildProcess.run { () -> Int in
                    kill(getpid(), SIGKILL)
                    return 1
                }
                try check(false, "a killed call returned")
            } catch let error as ProcessLost { try checkEqual(error.status, .signaled(.kill)) }
            try checkEqual(try ChildProcess.run { 7 }, 7)
        }
    }

    @Test func `a program that ignores SIGCHLD exits although its children were killed`() throws {
        let result = try Fixture("ignores-children").finish()
        #expect(result.status == 0)
        #expect(result.output == ["main done"], "\(result)")
    }
}

/// Starts a child, does something to it, and checks how it ends.
private func checkEnd(
    _ status: ExitStatus,
    _ child: ChildProcess,
    line: Int = #line,
    _ act: (ChildProcess) throws -> Void = { _ in }
) throws {
    try child.start()
    try act(child)
    // The sentinel before anything that looks by itself: it is the reactor's thread that has to notice.
    var wait = pollfd(fd: try child.sentinel, events: Int16(POLLIN), revents: 0)
    try checkEqual(poll(&wait, 1, 20_000), 1, line: line)
    try check(try child.join(timeout: .seconds(60)), "join hangs", line: line)
    try check(!child.isAlive, "it lives", line: line)
    try checkEqual(child.exitStatus, status, line: line)
    try child.close()
}
