// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The program `ProcessFixture`, or another, which lies beside the test program.
struct Fixture {
    let processIdentifier: Int32
    private let output: UnsafeMutablePointer<FILE>
    private let errors: Int32

    /// Where the program is.
    static var path: String { program("ProcessFixture") }

    /// Where a program of this package is.
    static func program(_ name: String) -> String {
        var target = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &target, 4095)
        let own = String(decoding: target[..<max(0, count)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return own.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
            + "/\(name)"
    }

    /// Starts it.
    ///
    /// - Parameter inOwnGroup: Whether it leads a process group of its own, as a shell starts a job.
    ///
    /// - Parameter input: What it gets as its standard input; this process's own without it.
    init(_ arguments: String..., path: String = Fixture.path, input: Int32? = nil, inOwnGroup: Bool = false) throws {
        let out = TestPipe()
        let err = TestPipe()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        if let input { posix_spawn_file_actions_adddup2(&actions, input, 0) }
        posix_spawn_file_actions_adddup2(&actions, out.writeEnd, 1)
        posix_spawn_file_actions_adddup2(&actions, err.writeEnd, 2)
        // As a shell would start it: the threads of a test run may block signals, and a run in the background ignores some.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setpgroup(&attributes, 0)
        let group = inOwnGroup ? POSIX_SPAWN_SETPGROUP : 0
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | group))
        var words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) }
        words.append(nil)
        var pid: pid_t = 0
        // What is to trap must not wait for the runtime's own backtracer, which can hang for good where a sanitizer is at work.
        var environment: [UnsafeMutablePointer<CChar>?] = [strdup("SWIFT_BACKTRACE=enable=no")]
        var next = environ
        while let entry = next.pointee {
            if strncmp(entry, "SWIFT_BACKTRACE=", 16) != 0 { environment.append(strdup(entry)) }
            next += 1
        }
        environment.append(nil)
        let error = posix_spawn(&pid, path, &actions, &attributes, words, environment)
        for word in words + environment { free(word) }
        posix_spawn_file_actions_destroy(&actions)
        posix_spawnattr_destroy(&attributes)
        close(out.writeEnd)
        close(err.writeEnd)
        guard error == 0, let stream = fdopen(out.readEnd, "r") else {
            throw CheckFailed(description: "\(path): \(String(cString: strerror(error)))")
        }
        processIdentifier = pid
        output = stream
        errors = err.readEnd
    }

    /// The next line of its output, or nil at the end.
    func line() -> String? {
        var buffer = [CChar](repeating: 0, count: 4096)
        guard fgets(&buffer, Int32(buffer.count), output) != nil else { return nil }
        return String(
            decoding: buffer.prefix { $0 != 0 && $0 != CChar(UInt8(ascii: "\n")) }.map { UInt8(bitPattern: $0) },
            as: UTF8.self
        )
    }

    /// What it says on its standard error up to the end of a line; less when nothing more comes for a minute.
    func errorLine() -> String {
        var text: [UInt8] = []
        var byte: UInt8 = 0
        var entry = pollfd(fd: errors, events: Int16(POLLIN), revents: 0)
        while byte != UInt8(ascii: "\n"), poll(&entry, 1, 60_000) > 0, read(errors, &byte, 1) == 1 { text.append(byte) }
        return String(decoding: text, as: UTF8.self)
    }

    /// Reads everything up to its end and reaps it.
    func finish() -> (status: Int32, output: [String], errors: String) {
        var lines: [String] = []
        while let line = line() { lines.append(line) }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while case let count = read(errors, &buffer, buffer.count), count > 0 { text += buffer[..<count] }
        fclose(output)
        close(errors)
        var status: Int32 = 0
        waitpid(processIdentifier, &status, 0)
        return (status, lines, String(decoding: text, as: UTF8.self))
    }
}
