// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A round, as the program sees it that has it played by another process.
struct Round {
    /// The variable that all processes of a round have in their environment.
    static let variable = "CHAOS_ROUND"

    let seed: UInt64
    let number: Int

    enum Outcome {
        case passed(Figures)
        case failed(String)
    }

    /// The longest a round may take beyond what it is meant to: a machine may be busy with other things.
    private static let patience: Duration = .seconds(90)

    /// Has it played, and looks at what is left.
    func run() -> Outcome {
        var random = Seeded(seed: seed, part: number)
        let milliseconds = Int.random(in: 300...1500, using: &random)
        let isCut = random.once(in: 5)
        let mark = "\(Self.variable)=\(seed).\(number).\(getpid())"
        guard let folder = Names.makeFolder() else { return .failed("no folder: \(String(cString: strerror(errno)))") }
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0, let process = spawn(milliseconds, mark, folder, output: ends[1], other: ends[0]) else {
            return .failed("round \(number): cannot be started: \(String(cString: strerror(errno)))")
        }
        close(ends[1])
        defer { close(ends[0]) }
        defer { Names.remove(in: folder, of: process) }
        if isCut {
            usleep(UInt32(Int.random(in: 0...milliseconds, using: &random)) * 1000)
            kill(process, SIGKILL)
            // With it ends who would have let those go on who are stopped. One that was stopped before it had asked the kernel to be ended with its parent finds out when it goes on.
            if Remnants.hasEnded(process) { for left in Remnants.processes(mark) { kill(left, SIGCONT) } }
        }
        let text = Remnants.read(ends[0], until: ContinuousClock.now + .milliseconds(milliseconds) + Self.patience)
        guard let text else { return .failed(hung(process, mark)) }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        if !isCut, status != 0 { return .failed("round \(number) ended with status \(status):\n\(text)") }
        // Whoever is killed with the round is killed, and says nothing; what was said before counts.
        if isCut, text.lowercased().contains("violation") {
            return .failed("round \(number), which was killed, had told:\n\(text)")
        }
        let left = Remnants.waitForEnd(mark)
        guard left.isEmpty else {
            return .failed("round \(number) left processes\(isCut ? " when it was killed" : ""): \(left)\n\(text)")
        }
        let names = Names.left(in: folder, by: process)
        // Names outlive who is killed with them; nobody else's may.
        guard isCut || names.isEmpty else { return .failed("round \(number) left names: \(names)\n\(text)") }
        var figures = Figures(lines: text.split(separator: "\n"))
        if isCut { figures.add(Figures(["rounds killed": 1])) }
        return .passed(figures)
    }

    /// Starts this program again. Descriptors that are not named stay out of it.
    private func spawn(_ milliseconds: Int, _ mark: String, _ folder: String, output: Int32, other: Int32) -> pid_t? {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        // Actors tell there what must not be.
        posix_spawn_file_actions_adddup2(&actions, output, 2)
        posix_spawn_file_actions_addclose(&actions, other)
        if output > 2 { posix_spawn_file_actions_addclose(&actions, output) }
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("Chaos"), nil]
        var variables: [UnsafeMutablePointer<CChar>?] = [
            strdup(mark), strdup("CHAOS_FOLDER=\(folder)"), strdup("CHAOS_PART=\(seed) \(number) \(milliseconds)"),
        ]
        // What finds libraries, and what a sanitizer is told.
        for name in ["PATH", "LD_LIBRARY_PATH", "SWIFT_BACKTRACE", "ASAN_OPTIONS", "TSAN_OPTIONS"] {
            if let value = getenv(name) { variables.append(strdup("\(name)=\(String(cString: value))")) }
        }
        variables.append(nil)
        defer { for pointer in arguments + variables { free(pointer) } }
        var process: pid_t = 0
        return posix_spawn(&process, "/proc/self/exe", &actions, nil, &arguments, &variables) == 0 ? process : nil
    }

    /// Says who hangs where, and ends them.
    private func hung(_ process: pid_t, _ mark: String) -> String {
        let processes = Remnants.processes(mark)
        let where_ = processes.map { "\($0) \(Remnants.name(of: $0)) in \(Remnants.place(of: $0))" }
        for process in processes { kill(process, SIGKILL) }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        return "round \(number) hangs:\n" + where_.joined(separator: "\n")
    }
}
