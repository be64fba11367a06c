// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

/// A program on a terminal of its own, as a user sees it: the other end of a pseudoterminal (pty(7)).
private struct TerminalProgram {
    /// Starts it in a session of its own (POSIX_SPAWN_SETSID, which the module map leaves out).
    private static let newSession: Int16 = 0x80

    let processIdentifier: Int32
    private let terminal: Int32

    init(_ arguments: String...) throws {
        terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        // What unlockpt and ptsname do, which the module map leaves out: TIOCSPTLCK and TIOCGPTN.
        var (lock, number): (Int32, Int32) = (0, 0)
        guard terminal >= 0, ioctl(terminal, 0x4004_5431, &lock) == 0, ioctl(terminal, 0x8004_5430, &number) == 0 else {
            throw CheckFailed(description: "no pseudoterminal: errno \(errno)")
        }
        let name = "/dev/pts/\(number)"
        var size = winsize(ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(terminal, UInt(TIOCSWINSZ), &size)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        // The first terminal that the leader of a session opens becomes that of the session.
        posix_spawn_file_actions_addopen(&actions, 0, name, O_RDWR, 0)
        posix_spawn_file_actions_adddup2(&actions, 0, 1)
        posix_spawn_file_actions_adddup2(&actions, 0, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(
            &attributes,
            Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) | Self.newSession
        )
        var words: [UnsafeMutablePointer<CChar>?] = ([Fixture.path] + arguments).map { strdup($0) }
        words.append(nil)
        var pid: pid_t = 0
        let error = posix_spawn(&pid, Fixture.path, &actions, &attributes, words, environ)
        for word in words { free(word) }
        posix_spawn_file_actions_destroy(&actions)
        posix_spawnattr_destroy(&attributes)
        guard error == 0 else { throw CheckFailed(description: "\(Fixture.path): \(String(cString: strerror(error)))") }
        processIdentifier = pid
    }

    /// Reads what it shows until that contains `text`, or to its end.
    func read(until text: String? = nil) -> String {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        // EIO when nobody has the other end any more.
        while case let count = Glibc.read(terminal, &buffer, buffer.count), count > 0 {
            bytes += buffer[..<count]
            if let text, String(decoding: bytes, as: UTF8.self).contains(text) { break }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Presses keys.
    func press(_ keys: [UInt8]) {
        _ = write(terminal, keys, keys.count)
    }

    /// Reads to its end and reaps it.
    func finish() -> (status: Int32, shown: String) {
        let shown = read()
        var status: Int32 = 0
        waitpid(processIdentifier, &status, 0)
        close(terminal)
        return (status, shown)
    }
}

/// Pools of programs on a terminal.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct PoolTerminalTests {
    @Test(arguments: [1, 3])
    func `Ctrl-C is one orderly end without a word, however often it is pressed`(_ times: Int) throws {
        var took: [Duration] = []
        // A busy machine may let somebody wait for the processor for so long, but not again and again.
        for _ in 0..<8 {
            let program = try TerminalProgram("pool", "waiting")
            var shown = program.read(until: "ready")
            // A thread of the program says so once, when it has read the program's symbols: before the keys, or after them.
            let warning = "start the process with .fork"
            if !shown.contains(warning) { shown += program.read(until: warning) }
            #expect(workers(shown).count == 2, "\(shown)")
            #expect(Proc.members(ofSession: program.processIdentifier).count >= 4)
            let clock = ContinuousClock.now
            program.press(Array(repeating: 3, count: times))
            let result = program.finish()
            // The program, its workers and their fork server are all that there was in this session.
            let left = Proc.waitForEnd(ofSession: program.processIdentifier, within: .seconds(60))
            took.append(ContinuousClock.now - clock)
            #expect(left == [])
            #expect(result.status & 0x7f == SIGINT, "\(result)")
            #expect(result.shown.filter { $0 != "^" && $0 != "C" && !$0.isNewline } == "", "\(result)")
            if let last = took.last, last < .seconds(1) || last > .seconds(10) { break }
        }
        #expect(took.last ?? .zero < .seconds(1), "\(took)")
    }

    /// The workers that a program has told of.
    private func workers(_ shown: String) -> [Int32] {
        shown.split(whereSeparator: \.isNewline).compactMap { line in
            line.hasPrefix("worker ") ? Int32(line.dropFirst(7)) : nil
        }
    }

    @Test(arguments: [false, true])
    func `progress is a bar that is drawn over itself, and ends its line also when the call fails`(
        _ fails: Bool
    ) throws {
        let program = fails ? try TerminalProgram("progress", "fails") : try TerminalProgram("progress")
        let result = program.finish()
        #expect(result.status == 0, "\(result)")
        // A thread of the program says once what it has found in the program's symbols, whenever it has read them.
        let shown = result.shown.replacing(
            /multiprocessing: warning: top-level variables.*? with \.fork\.\r\n/,
            with: ""
        )
        // What was drawn, one over the other.
        let lines = shown.split(separator: "\r\n", omittingEmptySubsequences: false)
        let bars = (lines.first ?? "").split(separator: "\r\u{1b}[K")
        #expect(bars.count > 1, "\(result)")
        #expect(bars.allSatisfy { $0.hasPrefix("hashing ") && $0.count < 100 }, "\(result)")
        if !fails { #expect(bars.last?.contains("100/100") == true, "\(result)") }
        #expect(lines.dropFirst() == [fails ? "failed" : "done", ""], "\(result)")
    }
}
