// SPDX-License-Identifier: Apache-2.0

internal import CMeasuring
internal import Glibc
internal import Measuring

/// A program that is run for what it prints.
struct Program: Sendable {
    /// The executable's path, or a name to look for where programs are.
    let executable: String
    /// Its arguments.
    let arguments: [String]

    /// Starts the program and waits for the first that it prints. Returns its pid.
    ///
    /// - Throws: `MeasuringError` when it is not there, or prints nothing in that many seconds.
    func startUntilReady(timeout: Double) throws -> pid_t {
        let ends = try Self.makePipe()
        defer { close(ends.read) }
        let pid: pid_t
        do {
            defer { close(ends.write) }
            pid = try start(output: ends.write)
        }
        var entry = pollfd(fd: ends.read, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, Int32(timeout * 1000)) == 1, entry.revents & Int16(POLLIN) != 0 else {
            kill(pid, SIGKILL)
            throw MeasuringError("\(executable) did not say that it was ready: status \(Self.wait(for: pid))")
        }
        return pid
    }

    /// Runs the program and returns what it printed. Its standard error is this program's.
    ///
    /// - Parameter timeout: The seconds after which it is killed.
    /// - Throws: `MeasuringError` when it is not there, fails, or takes longer.
    func run(timeout: Double) throws -> String {
        let ends = try Self.makePipe()
        defer { close(ends.read) }
        let pid: pid_t
        do {
            defer { close(ends.write) }
            pid = try start(output: ends.write)
        }
        let output = Self.read(ends.read, of: pid, until: Clock.now + Int64(timeout * 1e9))
        // A program that takes too long is not waited for.
        if output == nil { kill(pid, SIGKILL) }
        let status = Self.wait(for: pid)
        guard let output else { throw MeasuringError("\(executable) took longer than \(timeout.fixed(0)) s") }
        guard status == 0 else {
            let end = status & 0x7f != 0 ? "killed by signal \(status & 0x7f)" : "exit code \(status >> 8)"
            throw MeasuringError(([end[...]] + output.split(separator: "\n").suffix(20)).joined(separator: "\n  "))
        }
        return output
    }

    /// Makes a pipe that a program does not inherit: an end that it had for reading would keep the pipe open.
    private static func makePipe() throws -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        guard measuring_make_pipe(&ends) == 0 else {
            throw MeasuringError("no pipe: \(String(cString: strerror(errno)))")
        }
        return (ends[0], ends[1])
    }

    /// Waits for a child and returns how it ended.
    private static func wait(for pid: pid_t) -> Int32 {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        return status
    }

    /// Starts the program with `output` as its standard output, and nothing to read. Returns its pid.
    private func start(output: Int32) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)

        var vector = ([executable] + arguments).map { strdup($0) }
        vector.append(nil)
        defer { for argument in vector { free(argument) } }
        var pid: pid_t = 0
        let code = posix_spawnp(&pid, executable, &actions, nil, vector, environ)
        guard code == 0 else { throw MeasuringError("\(executable): \(String(cString: strerror(code)))") }
        return pid
    }

    /// Reads until the end of the file, or of the program, whose descendants may hold its output open; nil when neither came in time.
    private static func read(_ descriptor: Int32, of pid: pid_t, until deadline: Int64) -> String? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while Clock.now < deadline {
            // Looked at before the pipe is, so that nothing the program wrote is missed.
            let isOver = hasEnded(pid)
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&entry, 1, isOver ? 0 : 50) > 0 else {
                if isOver { return String(decoding: bytes, as: UTF8.self) }
                continue
            }
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
            bytes += buffer[..<count]
        }
        return nil
    }

    /// Whether a child has ended. It is not reaped.
    private static func hasEnded(_ pid: pid_t) -> Bool {
        var information = siginfo_t()
        guard waitid(P_PID, id_t(pid), &information, WEXITED | WNOHANG | WNOWAIT) == 0 else { return false }
        return information.si_signo == SIGCHLD
    }
}
