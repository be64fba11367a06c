// SPDX-License-Identifier: Apache-2.0
//
// The server's side: one thread, which forks children and reports exits, and nothing else. The parent makes both ends of a child's link and sends one of them with the order; so a
// job may lie in the link before there is a process. The server keeps that end only until it has forked: it holds nothing of a child, and a child gets nothing of another.
//
// Messages on the control socket (fixed-width integers); slots are numbers of orders on the `OrderPage`:
//   serve    (to the server)    8 bytes: identity of the build; then the functions to run before the first fork: a number, and each one's length and bytes; descriptor: the page
//   ready    (from it)          8 bytes: identity of its build. Nothing is sent to it before that.
//   order    (to it)            4 bytes: slot; 4 bytes: 1 when somebody waits, 0 for a spare; descriptor: the child's end of its link
//   hurry    (to it)            4 bytes: slot: somebody waits for that spare now
//   kill     (to it)            4 bytes: slot: that child is to be ended
//   exited   (from it)          4 bytes: slot, 4 bytes: wait status; once for each order
//   failed   (from it)          string: why it ends
// On the link of a child:
//   forked   (from the child)   4 bytes: pid; descriptor: its pidfd
//   failed   (from the server)  string: why there is none

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// The fork server, from its first message to its end.
final class ForkServerLoop {
    /// How long daemons have to end after SIGTERM when the parent is gone.
    private static let grace: Int64 = 50_000_000

    /// A spare that nobody waits for is forked after a quiet moment of that length, in milliseconds: the child that made it necessary has its job to do, and the program is to see
    /// its end. With a processor for each of the three there is nothing to wait for.
    private static let pauseBeforeSpare: Int32 = mp_affinity_count() > 2 ? 0 : 1

    /// How long a child looks out for a job that was said to come soon: several times what it takes to write one, in nanoseconds.
    private static let longestLookOut: Int64 = 300_000

    private let control: Link
    private let page: OrderPage
    /// Spares that are not forked yet.
    @exclusivity(unchecked) private var spares = OrderQueue()
    /// Whether there was a child.
    @exclusivity(unchecked) private var hasForked = false
    /// The children, with their slots.
    @exclusivity(unchecked) private var living: [Int32: Int] = [:]

    /// Serves on that socket until the parent is gone and the last child has ended.
    static func run(_ message: Message, _ control: consuming Link) -> Never {
        ServerSignals.blockTerminal()
        mp_set_thread_name("mp-fork-server")
        do {
            guard let number = message.descriptors.take(0) else {
                throw SystemError(code: EBADMSG, operation: "receiving the page of orders")
            }
            let page = try OrderPage(mapping: number)
            close(number)
            // Until it listens to it, its parent's death has to reach it in another way: what it runs first may take long, or hang.
            guard Lifeline.setSignal(SIGKILL, of: control.socket.number) else {
                throw SystemError("watching over the parent")
            }
            // The parent may have died before that took effect; otherwise it sends nothing now.
            if Polling.isReadable(control.socket.number) { _exit(0) }
            // Before what it preloads registers handlers of its own.
            ChildMain.installExitHandler()
            try prepare(message)
            _ = Lifeline.setSignal(nil, of: control.socket.number)
            try tell(.ready, on: control) { $0.write(Build.identity) }
            // Once here, where the loader has just read the same tables, instead of in the first child, which would have to map them anew; and while the program wakes up.
            ChildMain.installReporters()
            ForkServerLoop(control: control, page: page).serve()
        } catch {
            try? tell(.failed, on: control) { $0.writeString("\(error)") }
            _exit(1)
        }
    }

    private init(control: consuming Link, page: OrderPage) {
        self.control = control
        self.page = page
    }

    private func serve() -> Never {
        ServerSignals.watchChildren()
        while true { step() }
    }

    /// Runs what the program wants done once, then lets go of the standard descriptors: a server that outlives the program must not hold its output open.
    private static func prepare(_ message: Message) throws {
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
        fflush(nil)
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        if null >= 0 {
            for standard: Int32 in 0...2 { dup2(null, standard) }
            if null > 2 { close(null) }
        }
    }

    private func step() {
        reap()
        let isBusy = !spares.isEmpty || !Rehearsal.isOver
        let isReadable = mp_wait_readable_or_child(control.socket.number, isBusy ? Self.pauseBeforeSpare : -1)
        guard isReadable == 1 else {
            // A quiet moment; or a child has ended, which makes it one as well.
            Rehearsal.run()
            if let slot = spares.first { fork(spares.remove(slot), slot, isAwaited: false) }
            return
        }
        switch try? control.receive(wait: false) {
        case .message(let message): accept(message)
        case .wouldBlock: break
        case .unreceivable, .endOfFile, nil: end()
        }
    }

    private func accept(_ message: Message) {
        message.withReader { reader in
            guard let slot = (try? reader.read(UInt32.self)).map({ Int($0) }), slot < OrderPage.capacity else { return }
            switch message.kind {
            case .order:
                guard let isAwaited = try? reader.read(UInt32.self), let number = message.descriptors.take(0) else {
                    return
                }
                let link = Link(OwnedDescriptor(owning: number))
                if isAwaited == 1 { fork(link, slot, isAwaited: true) } else { spares.add(slot, link) }
            case .hurry: fork(spares.remove(slot), slot, isAwaited: true)
            case .kill: for (pid, living) in living where living == slot { kill(pid, SIGKILL) }
            default: break
            }
        }
    }

    private func reap() {
        var status: Int32 = 0
        // All children are of its own making.
        while case let pid = waitpid(-1, &status, WNOHANG), pid > 0 {
            if let slot = living.removeValue(forKey: pid) { tellExit(slot, status) }
        }
    }

    private func tellExit(_ slot: Int, _ status: Int32) {
        try? Self.tell(.exited, on: control) { writer in
            writer.write(UInt32(slot))
            writer.write(status)
        }
    }

    private static func tell(
        _ kind: MessageKind,
        on link: borrowing Link,
        descriptors: [Int32] = [],
        _ write: (inout WireWriter) -> Void
    ) throws {
        var writer = WireWriter()
        write(&writer)
        try writer.withUnsafeBytes { bytes throws(SystemError) in
            try link.send(kind, bytes, descriptors: descriptors)
        }
    }

    // MARK: - Forking

    /// Forks the child at the other end of `link`. Does nothing for one that was forked already.
    ///
    /// - Parameter isAwaited: Whether its job is on its way.
    private func fork(_ link: consuming Link?, _ slot: Int, isAwaited: Bool) {
        guard let link else { return }
        guard page[slot] != .unwanted else { return tellExit(slot, 0) }
        // The first child of a program would wait for it, and gain less than it takes; all others gain more.
        if hasForked { Rehearsal.run() }
        hasForked = true
        let server = getpid()
        let pid = Fork.fork()
        if pid == 0 { becomeChild(link, slot, server: server, isAwaited: isAwaited) }
        if pid > 0 {
            living[pid] = slot
            return
        }
        let error = SystemError("forking a child")
        try? Self.tell(.failed, on: link) { $0.writeString("\(error)") }
        tellExit(slot, 0)
    }

    /// The child's side of the fork: says who it is and waits for a job.
    private func becomeChild(_ link: consuming Link, _ slot: Int, server: Int32, isAwaited: Bool) -> Never {
        _ = mp_die_with_parent()
        // The server may have died before that took effect.
        if getppid() != server { _exit(0) }
        close(control.socket.number)
        // Those of others: while they are open nobody sees that they are closed.
        spares.closeAll()
        ServerSignals.becomeChild()
        Self.introduce(link)
        // One whose job is on its way has no time for that, although it may not be there yet.
        if !isAwaited { Rehearsal.warmUp { Polling.isReadable(link.socket.number) || page[slot] == .unwanted } }
        mp_set_thread_name("mp-spare")
        let message = Self.firstMessage(link)
        guard message.kind == .job, page[slot] != .unwanted else { _exit(1) }
        ChildMain.run(message, link, lifeline: false)
    }

    /// Tells the parent that this child is there.
    private static func introduce(_ link: borrowing Link) {
        do {
            let pid = getpid()
            let pidfd = try OwnedDescriptor(checking: mp_pidfd_open(pid), "opening a pidfd")
            // By itself, not as other messages: what a child without a job does before that, somebody waits for.
            let packet = (MessageKind.forked.rawValue, UInt32(0), UInt64(4), pid)
            let sent = withUnsafeBytes(of: packet) {
                mp_send(link.socket.number, $0.baseAddress, 20, nil, 0, [pidfd.number], 1, 0)
            }
            if sent < 0 { throw SystemError("sending a message to a process") }
        } catch let error as SystemError where error.isClosedLink {
            // The parent is gone, or does not want it any more. A job that is to survive the parent lies in the link all the same.
        } catch {
            // Without it nobody can watch over it; the reason is told where it can be.
            try? tell(.failed, on: link) { $0.writeString("\(error)") }
            _exit(1)
        }
    }

    /// Waits for what a new process is to do. When its parent is gone there is nothing to do; when the message cannot be received, that is no success.
    static func firstMessage(_ link: borrowing Link) -> Message {
        do {
            while true {
                switch try link.receive(wait: true) {
                case .message(let message) where message.kind == .soon: lookOut(link)
                case .message(let message): return message
                case .unreceivable(let error): throw error
                case .wouldBlock, .endOfFile: _exit(0)
                }
            }
        } catch {
            StandardError.write("multiprocessing: a child could not receive its job: \(error)\n")
            _exit(1)
        }
    }

    /// Waits awake for a message that is being written.
    private static func lookOut(_ link: borrowing Link) {
        guard Spinning.isPossible() else { return }
        let end = mp_now() + longestLookOut
        while !Polling.isReadable(link.socket.number), mp_now() < end {
            for _ in 0..<16 { mp_pause() }
        }
    }

    // MARK: - The end

    /// The parent is gone: ends the daemons, and waits for the other children, which would end with this process.
    private func end() -> Never {
        // Some had their job although they were only to be.
        while let slot = spares.first {
            let link = spares.remove(slot)
            if page[slot] == .survives { fork(link, slot, isAwaited: true) }
        }
        for (pid, slot) in living where page[slot] != .survives { kill(pid, SIGTERM) }
        let deadline = Deadline(nanoseconds: mp_now() + Self.grace)
        var hasKilled = false
        while !living.isEmpty {
            if deadline.hasPassed, !hasKilled {
                hasKilled = true
                for (pid, slot) in living where page[slot] != .survives { kill(pid, SIGKILL) }
            }
            _ = mp_wait_readable_or_child(-1, hasKilled ? -1 : max(1, Int32(deadline.pollTimeout)))
            var status: Int32 = 0
            while case let pid = waitpid(-1, &status, WNOHANG), pid > 0 { living[pid] = nil }
        }
        _exit(0)
    }
}

/// The spares that a server has still to fork, in the order of their orders.
private struct OrderQueue {
    private var entries: [(slot: Int, descriptor: Int32)] = []

    /// Whether there are none.
    var isEmpty: Bool { entries.isEmpty }

    /// The slot of the oldest.
    var first: Int? { entries.first?.slot }

    /// Adds one.
    mutating func add(_ slot: Int, _ link: consuming Link) {
        entries.append((slot, link.release()))
    }

    /// Removes one and returns its link. Nil when it is not there.
    mutating func remove(_ slot: Int) -> Link? {
        guard let index = entries.firstIndex(where: { $0.slot == slot }) else { return nil }
        return Link(OwnedDescriptor(owning: entries.remove(at: index).descriptor))
    }

    /// Lets go of all.
    mutating func closeAll() {
        for entry in entries { close(entry.descriptor) }
        entries = []
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
    case .job: ChildMain.run(message, link, lifeline: true)
    default: _exit(0)
    }
}
