// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

/// What a program leaves behind when it exits, dies, or loses its executable.
@Suite(.timeLimit(.minutes(30)), .serialized, .leavesNothing)
struct WholeProgramTests {
    private func pid(_ line: String, _ word: String) -> Int32? {
        let parts = line.split(separator: " ")
        return parts.count == 2 && parts[0] == word ? Int32(parts[1]) : nil
    }

    @Test(arguments: [SIGKILL, SIGTERM, SIGHUP])
    func `when a program dies its daemons end at once, and only the others live on`(_ signal: Int32) throws {
        // On a busy machine a second may pass before anybody is given a processor: that says nothing of what ends whom.
        for attempt in 1... {
            let duration = try playDeath(signal)
            if duration < .seconds(1) { return }
            try #require(attempt < 8, "they ended, but \(duration) after their program")
        }
    }

    /// Ends a program with daemons and another child, and returns after how long all is gone that is to go.
    private func playDeath(_ signal: Int32) throws -> Duration {
        let program = try Fixture("family")
        var lines: [String] = []
        // Six daemons, each of three with a child of its own.
        while lines.count(where: { $0.hasPrefix("daemon") }) < 6 || !lines.contains("ready"), let line = program.line()
        { lines.append(line) }
        let daemons = lines.compactMap { pid($0, "daemon") }
        let survivor = try #require(lines.compactMap { pid($0, "survivor") }.first)
        #expect(daemons.count == 6)
        #expect(daemons.allSatisfy(Proc.isRunning))
        let start = ContinuousClock.now
        kill(program.processIdentifier, signal)
        #expect(Proc.waitForEnd(of: daemons, within: .seconds(60)) == [])
        let duration = ContinuousClock.now - start
        #expect(Proc.isRunning(survivor))
        // What it needs to live is the server; with it, that ends.
        let server = try #require(lines.compactMap { pid($0, "server") }.first)
        kill(survivor, SIGKILL)
        #expect(Proc.waitForEnd(of: [survivor, server], within: .seconds(60)) == [])
        kill(program.processIdentifier, SIGKILL)
        _ = program.finish()
        return duration
    }

    @Test func `at its exit a program terminates daemons and waits for the others`() throws {
        let program = try Fixture("return")
        let result = program.finish()
        #expect(result.status == 0)
        #expect(result.output.contains("main done"))
        #expect(result.output.last == "other done")
        let daemons = result.output.compactMap { pid($0, "daemon") }
        #expect(Proc.waitForEnd(of: daemons, within: .seconds(60)) == [])
    }

    @Test func `a program whose executable was deleted goes on starting children`() throws {
        let copy = "/tmp/mp-fixture-\(getpid())"
        try #require(system("cp '\(Fixture.path)' '\(copy)'") == 0)
        let result = try Fixture("deleted", path: copy).finish()
        #expect(result.output == ["forkServer ran", "spawn ran", "fork ran"], "\(result)")
        #expect(access(copy, F_OK) != 0)
    }

    @Test func `a program whose executable was replaced goes on starting children of its own`() throws {
        let copy = "/tmp/mp-replaced-\(getpid())"
        defer { unlink(copy) }
        try #require(system("cp '\(Fixture.path)' '\(copy)' && cp /bin/false '\(copy).new'") == 0)
        let result = try Fixture("replaced", "\(copy).new", path: copy).finish()
        #expect(result.output == ["forkServer ran", "spawn ran", "fork ran"], "\(result)")
        #expect(access("\(copy).new", F_OK) != 0)
    }

    @Test func `a default start method can be set once, before it is used`() throws {
        #expect(try Fixture("default-method", "once").finish().output == ["spawn", "Process-1 by spawn"])
        for order in ["twice", "late"] {
            let result = try Fixture("default-method", order).finish()
            #expect(result.output.isEmpty && result.status != 0, "\(result)")
            #expect(result.errors.contains("can be set only once"), "\(result)")
        }
    }

    @Test func `variables of main are warned of once, by name, and those that are set later before a later start`()
        throws
    {
        let input = TestPipe()
        let program = try Fixture("variables", input: input.readEnd)
        let warning = program.errorLine()
        #expect(warning.contains("greeting") && !warning.contains("nothing") && !warning.contains("last"), "\(warning)")
        // It sets another one, and starts a second child.
        write(input.writeEnd, "\n", 1)
        let second = program.errorLine()
        #expect(second.contains(": last.") && !second.contains("greeting"), "\(second)")
        // It starts a third, and ends.
        for end in [input.readEnd, input.writeEnd] { close(end) }
        let result = program.finish()
        #expect(result.output == ["ran"])
        #expect(result.errors.isEmpty, "\(result.errors)")
    }

    @Test func `a preload that fails is told at the start of a child`() throws {
        let thrown = try Fixture("preload-fails").finish()
        #expect(thrown.output.first?.contains("NoModel") == true, "\(thrown)")
        let trapped = try Fixture("preload-traps").finish()
        #expect(trapped.output.first?.contains("fork server failed") == true, "\(trapped)")
        #expect(trapped.errors.contains("in the server"))
    }

    @Test func `a preload that hangs holds up nobody beyond his time, and ends with the program`() throws {
        let program = try Fixture("preload-hangs")
        let result = program.finish()
        let server = try #require(result.output.compactMap { pid($0, "server") }.first)
        #expect(
            result.output.dropFirst() == ["TimeoutError", "TimeoutError", "timed out 100", "CancellationError"],
            "\(result)"
        )
        #expect(Proc.waitForEnd(of: [server], within: .seconds(60)) == [])
    }

    @Test func `a child that is to survive runs although its parent died before it had read its job`() throws {
        let program = try Fixture("dies-at-start")
        var lines: [String] = []
        while lines.count < 3, let line = program.line() { lines.append(line) }
        let spares = lines.compactMap { pid($0, "spare") }
        let server = try #require(lines.compactMap { pid($0, "server") }.first)
        try #require(spares.count == 2, "\(lines)")
        // The server has ended those without a job: then it has seen the death of the program.
        while spares.allSatisfy(Proc.isRunning) { usleep(1000) }
        for spare in spares { kill(spare, SIGCONT) }
        #expect(program.finish().output.contains("the body ran"))
        #expect(Proc.waitForEnd(of: spares + [server], within: .seconds(60)) == [])
    }
}
