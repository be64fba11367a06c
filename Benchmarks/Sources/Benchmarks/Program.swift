// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Measuring

/// A program that is run for what it prints.
struct Program: Sendable {
    /// The executable's path, or a name to look for where programs are.
    let executable: String
    /// Its arguments.
    let arguments: [String]

    /// Runs the program and returns what it printed. Its standard error is this program's.
    ///
    /// - Parameter timeout: The seconds after which it is killed.
    /// - Throws: `MeasuringError` when it is not there, fails, or takes longer.
    func run(timeout: Double) throws -> String {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw MeasuringError("no pipe: \(String(cString: strerror(errno)))") }
        defer { close(ends[0]) }
        // The reading end must not keep the pipe open in the program.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let pid: pid_t
        do {
            defer { close(ends[1]) }
            pid = try start(output: ends[1])
        }
        let output = Self.read(ends[0], until: Clock.now + Int64(timeout * 1e9))
        // A program that takes too long, or that left its output open to others, is not waited for.
        if output == nil { kill(pid, SIGKILL) }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        guard let output else { throw MeasuringError("\(executable) took longer than \(timeout.fixed(0)) s") }
        guard status == 0 else {
            let end = status & 0x7f != 0 ? "killed by signal \(status & 0x7f)" : "exit code \(status >> 8)"
            throw MeasuringError(([end[...]] + output.split(separator: "\n").suffix(20)).joined(separator: "\n  "))
        }
        return output
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

    /// Reads until the end of the file; nil when that did not come in time.
    private static func read(_ descriptor: Int32, until deadline: Int64) -> String? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let remaining = (deadline - Clock.now) / 1_000_000
            guard remaining > 0 else { return nil }
            guard poll(&entry, 1, Int32(remaining)) > 0 else { continue }
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
            bytes += buffer[..<count]
        }
    }
}
