// SPDX-License-Identifier: Apache-2.0
//
// The server's side: one thread, which forks spares and reports exits, and nothing else. It holds no descriptor of a child, so a fork has nothing to close but the control socket.
//
// Messages on the control socket (fixed-width integers):
//   serve    (to the server)    8 bytes: identity of the build; then the functions to run before the first fork: a number, and each one's length and bytes
//   ready    (from it)          8 bytes: identity of its build
//   order    (to it)            4 bytes: how many spares somebody waits for; 4 bytes: how many more to keep ready
//   spare    (from it)          4 bytes: pid; descriptors: link, pidfd
//   exited   (from it)          4 bytes: pid, 4 bytes: wait status
//   failed   (from it)          1 byte: 1 for good (the server ends), 0 for this fork; string: why

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// The fork server, from its first message to its end.
final class ForkServerLoop {
    /// How long daemons have to end after SIGTERM when the parent is gone.
    private static let grace: Int64 = 50_000_000

    private let control: Link
    /// A spare that nobody waits for is forked after a quiet moment of that length, in milliseconds: the child that made it necessary has its job to do, on the same processor
    /// perhaps.
    private static let pauseBeforeSpare: Int32 = 1

    /// Spares that somebody waits for.
    private var wanted = 0
    /// Spares to be kept ready.
    private var ordered = 0
    /// The children, with their indices on the page.
    private var living: [Int32: Int] = [:]
    private var freeIndices: [Int] = []
    private var survivors: SurvivorPage?

    /// Serves on that socket until the parent is gone and the last child has ended.
    static func run(_ message: Message, _ control: consuming Link) -> Never {
        ForkServerLoop(control: control).serve(message)
    }

    private init(control: consuming Link) {
        self.control = control
    }

    private func serve(_ message: Message) -> Never {
        _ = mp_block_terminal_signals()
        mp_set_thread_name("mp-fork-server")
        do {
            try prepare(message)
        } catch {
            try? tell(.failed) { writer in
                writer.write(UInt8(1))
                writer.writeString("\(error)")
            }
            _exit(1)
        }
        survivors = try? SurvivorPage()
        _ = mp_watch_children()
        while true { step() }
    }

    /// Runs what the program wants done once, then lets go of the standard descriptors: a server that outlives the program must not hold its output open.
    private func prepare(_ message: Message) throws {
        try message.withReader { reader in
            guard try reader.read(UInt64.self) == Build.identity else {
                throw FunctionNotPortable(.otherBuild, "the fork server runs another build of this program")
            }
            for _ in 0..<(try reader.readCount()) {
                var function = WireReader(try reader.readLengthPrefixedBytes())
                let call = try ReceivedFunction(from: &function, userInfo: message.userInfo).bind(
                    argumentsFrom: &function,
                    userInfo: message.userInfo
                )
                guard case .sync(let body) = call else {
                    throw ProcessError(.serverFailed, "a function for the server cannot be asynchronous")
                }
                _ = try body()
            }
        }
        Rehearsal.run()
        fflush(nil)
        ChildMain.installReporters()
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        if null >= 0 {
            for standard: Int32 in 0...2 { dup2(null, standard) }
            if null > 2 { close(null) }
        }
        try tell(.ready) { $0.write(Build.identity) }
    }

    private func step() {
        reap()
        if wanted > 0 {
            wanted -= 1
            return forkSpare(isAwaited: true)
        }
        guard mp_wait_readable_or_child(control.socket.number, ordered > 0 ? Self.pauseBeforeSpare : -1) == 1 else {
            if ordered > 0 {
                ordered -= 1
                forkSpare(isAwaited: false)
            }
            return
        }
        switch try? control.receive(wait: false) {
        case .message(let message): accept(message)
        case .wouldBlock: break
        case .endOfFile, nil: end()
        }
    }

    private func accept(_ message: Message) {
        guard message.kind == .order else { return }
        message.withReader { reader in
            guard let wanted = try? reader.read(UInt32.self), let ordered = try? reader.read(UInt32.self) else {
                return
            }
            self.wanted += Int(wanted)
            self.ordered += Int(ordered)
        }
    }

    private func reap() {
        var status: Int32 = 0
        while case let pid = mp_reap_any(&status), pid != 0 {
            guard let index = living.removeValue(forKey: pid) else { continue }
            survivors?[index] = false
            freeIndices.append(index)
            try? tell(.exited) { writer in
                writer.write(pid)
                writer.write(status)
            }
        }
    }

    private func tell(_ kind: MessageKind, descriptors: [Int32] = [], _ write: (inout WireWriter) -> Void) throws {
        var writer = WireWriter()
        write(&writer)
        try writer.withUnsafeBytes { bytes throws(SystemError) in
            try control.send(kind, bytes, descriptors: descriptors)
        }
    }

    // MARK: - Forking

    private func forkSpare(isAwaited: Bool) {
        do {
            let pair = try Link.pair()
            let server = getpid()
            let index = freeIndices.popLast() ?? living.count
            let pid = mp_fork()
            if pid == 0 {
                // Its own end alone: with both it would never see that the other is closed.
                close(pair.here.socket.number)
                becomeSpare(pair.there, index, server: server, isAwaited: isAwaited)
            }
            guard pid > 0 else {
                freeIndices.append(index)
                throw SystemError("forking a child")
            }
            living[pid] = index
            // The child cannot be reaped before this, so the pid is still its own.
            let pidfd = try OwnedDescriptor(checking: mp_pidfd_open(pid), "opening a pidfd")
            try tell(.spare, descriptors: [pair.here.socket.number, pidfd.number]) { $0.write(pid) }
        } catch {
            try? tell(.failed) { writer in
                writer.write(UInt8(0))
                writer.writeString("\(error)")
            }
        }
    }

    /// The child's side of the fork: waits for a job.
    private func becomeSpare(_ link: consuming Link, _ index: Int, server: Int32, isAwaited: Bool) -> Never {
        _ = mp_die_with_parent()
        // The server may have died before that took effect.
        if getppid() != server { _exit(0) }
        close(control.socket.number)
        mp_become_child()
        // One whose job is on its way has no time for that.
        if !isAwaited { Rehearsal.warmUp() }
        let message = Self.firstMessage(link)
        guard message.kind == .job else { _exit(1) }
        let survivors = survivors
        ChildMain.run(message, link, lifeline: false) { survivors?[index] = true }
    }

    /// Waits for what a new process is to do. When its parent is gone there is nothing to do; when the message cannot be received, that is no success.
    static func firstMessage(_ link: borrowing Link) -> Message {
        do {
            guard case .message(let message) = try link.receive(wait: true) else { _exit(0) }
            return message
        } catch {
            StandardError.write("multiprocessing: a child could not receive its job: \(error)\n")
            _exit(1)
        }
    }

    // MARK: - The end

    /// The parent is gone: ends the daemons, and waits for the other children, which would end with this process.
    private func end() -> Never {
        for (pid, index) in living where survivors?[index] != true { kill(pid, SIGTERM) }
        let deadline = Deadline(nanoseconds: mp_now() + Self.grace)
        var hasKilled = false
        while !living.isEmpty {
            if deadline.hasPassed, !hasKilled {
                hasKilled = true
                for (pid, index) in living where survivors?[index] != true { kill(pid, SIGKILL) }
            }
            _ = mp_wait_readable_or_child(-1, hasKilled ? -1 : max(1, Int32(deadline.pollTimeout)))
            var status: Int32 = 0
            while case let pid = mp_reap_any(&status), pid != 0 { living[pid] = nil }
        }
        _exit(0)
    }
}

/// Where the hook before `main` hands over a process that this package started.
@_cdecl("multiprocessing_serve")
func serveMarkedProcess(_ socket: Int32) {
    let link = Link(OwnedDescriptor(owning: socket))
    // Standard descriptors that the parent does not have must not be taken by the next file that is opened.
    while case let null = open("/dev/null", O_RDWR | O_CLOEXEC), null >= 0 {
        guard null <= 2 else {
            close(null)
            break
        }
        dup2(null, null)
    }
    let message = ForkServerLoop.firstMessage(link)
    switch message.kind {
    case .serve: ForkServerLoop.run(message, link)
    case .job: ChildMain.run(message, link, lifeline: true) {}
    default: _exit(0)
    }
}
