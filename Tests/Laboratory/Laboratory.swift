// SPDX-License-Identifier: Apache-2.0

internal import CLaboratory
internal import CMultiprocessing
internal import Glibc
internal import Multiprocessing
internal import MultiprocessingPrimitives

/// What went wrong in a laboratory, in words.
package struct LaboratoryFailure: Error, Codable, CustomStringConvertible {
    package let description: String

    /// Creates a failure with its description.
    package init(description: String) {
        self.description = description
    }
}

/// A single-threaded process in which a test may fork and kill as it likes.
package enum Laboratory {
    /// The longest time between two signs of life of a laboratory, in seconds; it is killed then.
    private static let limit: UInt32 = 170

    /// Gives the laboratory, or the process it forked, the whole time once more: how long a thousand kills take depends on what else the machine does.
    package static func signOfLife() {
        alarm(limit)
    }

    /// Runs `body` in a new process and throws what went wrong there; the task is suspended until then.
    ///
    /// The process comes from the fork server. A copy of the tests' own process, whose other threads are in the middle of something, now and then waits for ever for a lock of the runtime's that one of them
    /// had at the moment of the fork.
    package static func run(_ body: @escaping @Sendable () throws -> Void) async throws {
        try await ChildProcess.run { try serve(body) }
    }

    private static func serve(_ body: () throws -> Void) throws {
        signOfLife()
        try body()
        try checkNothingIsLeft()
        alarm(0)
    }

    private static func checkNothingIsLeft() throws {
        let children = try lines(of: "/proc/self/task/\(getpid())/children")
        guard children.isEmpty else { throw LaboratoryFailure(description: "children are left: \(children)") }
        let names = try lines(of: "/proc/self/maps").filter { $0.contains("memfd:mp-test") }
        guard names.isEmpty else { throw LaboratoryFailure(description: "mappings are left: \(names)") }
    }

    /// The lines of a file of /proc.
    package static func lines(of path: String) throws -> [Substring] {
        let file = try OwnedDescriptor(checking: open(path, O_RDONLY), "opening \(path)")
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(file.number, &buffer, buffer.count)
            guard count > 0 else { break }
            text += buffer[..<count]
        }
        return String(decoding: text, as: UTF8.self).split(separator: "\n")
    }
}

/// A forked process that runs `body` and exits with 0, or with 1 when `body` throws.
package struct ForkedProcess {
    package let pid: Int32

    package init(_ body: () throws -> Void) throws {
        pid = Fork.fork()
        guard pid >= 0 else { throw SystemError("forking") }
        guard pid == 0 else { return }
        // Longer than any test: a laboratory that ends in time ends its processes itself.
        alarm(300)
        // A laboratory that failed leaves its workers behind.
        mp_die_with_parent()
        do {
            try body()
            _exit(0)
        } catch {
            _exit(1)
        }
    }

    /// Waits for the end of the process; its wait status.
    @discardableResult
    package func join() throws -> Int32 {
        var status: Int32 = 0
        guard waitpid(pid, &status, 0) == pid else { throw SystemError("waiting for a process") }
        return status
    }

    /// Ends the process at once, wherever it is, and waits until it is gone.
    package func destroy() throws {
        kill(pid, SIGKILL)
        try join()
    }
}

/// Whether the process sleeps in the kernel (state S in /proc/PID/stat).
package func isAsleep(_ pid: Int32) -> Bool {
    guard let line = try? Laboratory.lines(of: "/proc/\(pid)/stat").first, let end = line.lastIndex(of: ")") else {
        return false
    }
    return line[end...].dropFirst(2).first == "S"
}

/// Looks until `condition` holds; throws after forty seconds.
package func waitFor(_ what: String, _ condition: () -> Bool) throws {
    let deadline = Deadline(timeout: .seconds(40))
    while !condition() {
        guard !deadline.hasPassed else { throw LaboratoryFailure(description: "waited in vain for: \(what)") }
        sched_yield()
    }
}

/// Throws unless `condition` holds.
package func require(_ condition: Bool, _ what: @autoclosure () -> String) throws {
    guard condition else { throw LaboratoryFailure(description: what()) }
}

/// A generator of pseudo-random numbers that gives the same ones for the same seed (splitmix64).
package struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    package init(seed: UInt64) {
        state = seed
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
