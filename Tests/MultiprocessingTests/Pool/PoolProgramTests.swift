// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

/// Programs that end while a pool is at work. How long that may take is told generously, for a machine on which hundreds of processes are at work; what does not end by itself never does.
@Suite(.timeLimit(.minutes(30)), .serialized, .leavesNothing)
struct PoolProgramTests {
    /// Starts a program and reads up to its "ready"; returns it with the pids of its workers.
    private func start(
        _ way: String,
        inOwnGroup: Bool = false
    ) throws -> (program: Fixture, workers: [Int32]) {
        let program = try Fixture("pool", way, inOwnGroup: inOwnGroup)
        var workers: [Int32] = []
        while let line = program.line(), line != "ready" {
            if line.hasPrefix("worker "), let pid = Int32(line.dropFirst(7)) { workers.append(pid) }
        }
        #expect(workers.count == 2)
        return (program, workers)
    }

    /// What a program said on its standard error, but for the warning of its variables.
    private func complaints(_ text: String) -> [Substring] {
        text.split(separator: "\n").filter { !$0.contains("top-level variables of main.swift") }
    }

    @Test(arguments: ["return", "exit", "async-exit", "dropped"])
    func `a program ends with a running pool, and leaves nobody`(_ way: String) throws {
        let (program, workers) = try start(way, inOwnGroup: true)
        let clock = ContinuousClock.now
        let result = program.finish()
        #expect(ContinuousClock.now - clock < .seconds(60))
        // Nor is the fork server left, nor anybody else that was started.
        #expect(Proc.waitForEnd(ofGroup: program.processIdentifier, within: .seconds(60)) == [])
        #expect(result.status == (way.hasSuffix("exit") ? 7 << 8 : 0), "\(result)")
        #expect(complaints(result.errors) == [])
        #expect(Proc.waitForEnd(of: workers, within: .seconds(60)) == [])
    }

    @Test(arguments: [SIGKILL, SIGTERM, SIGHUP])
    func `all workers end when their program is killed`(_ signal: Int32) throws {
        let (program, workers) = try start("waiting")
        kill(program.processIdentifier, signal)
        #expect(Proc.waitForEnd(of: workers, within: .seconds(60)) == [])
        _ = program.finish()
    }

    @Test func `all workers end when their program traps`() throws {
        let (program, workers) = try start("trap")
        let result = program.finish()
        #expect(result.errors.contains("the end of the program"))
        #expect(Proc.waitForEnd(of: workers, within: .seconds(60)) == [])
    }

    @Test func `an interrupt from the terminal is one orderly end`() throws {
        var took: [Duration] = []
        // A busy machine may let somebody wait for the processor for so long, but not again and again.
        for _ in 0..<8 {
            let (program, workers) = try start("waiting", inOwnGroup: true)
            let clock = ContinuousClock.now
            // What a terminal does: the signal goes to every process of the group.
            for pid in workers { kill(pid, SIGINT) }
            kill(program.processIdentifier, SIGINT)
            let result = program.finish()
            #expect(Proc.waitForEnd(ofGroup: program.processIdentifier, within: .seconds(60)) == [])
            took.append(ContinuousClock.now - clock)
            #expect(result.status & 0x7f == SIGINT, "\(result)")
            #expect(complaints(result.errors) == [])
            if let last = took.last, last < .seconds(1) || last > .seconds(10) { break }
        }
        #expect(took.last ?? .zero < .seconds(1), "\(took)")
    }

    @Test(arguments: [1, 3])
    func `a program that handles the interrupt itself goes on with the same workers, and close and join do not hang`(
        _ times: Int
    ) throws {
        let (program, workers) = try start("handles-interrupt", inOwnGroup: true)
        for _ in 0..<times { kill(-program.processIdentifier, SIGINT) }
        let result = program.finish()
        #expect(result.status == 0, "\(result)")
        #expect(complaints(result.errors) == [])
        // What was under way is done, and what comes afterwards, by those who were there.
        let ending = ["interrupted, 40 done, squares 285"] + workers.map { "worker \($0)" } + ["joined"]
        #expect(result.output == ending, "\(result)")
        #expect(Proc.waitForEnd(ofGroup: program.processIdentifier, within: .seconds(60)) == [])
    }

    @Test func `an interrupt of the whole job ends it once, however often the key is pressed, and says nothing`() throws
    {
        let (program, workers) = try start("waiting", inOwnGroup: true)
        // The program, its workers and the fork server are one job to the shell, and get the signal together.
        for _ in 0..<3 { kill(-program.processIdentifier, SIGINT) }
        let result = program.finish()
        #expect(result.status & 0x7f == SIGINT, "\(result)")
        #expect(complaints(result.errors) == [])
        #expect(Proc.waitForEnd(of: workers, within: .seconds(60)) == [])
        // Nor is anybody else of the job left.
        #expect(Proc.waitForEnd(ofGroup: program.processIdentifier, within: .seconds(60)) == [])
    }
}
