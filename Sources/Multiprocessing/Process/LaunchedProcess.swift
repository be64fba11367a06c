// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

/// A child that was started: its descriptors, what it said, and how it ended.
///
/// The end is learnt in three ways, whichever is first: the process announces its exit code and that nothing is left to wait for; the pidfd tells that it has ended, and what it
/// announced tells the code; or the server reports the wait status.
final class LaunchedProcess: Sendable {
    /// What is known of it.
    private struct Record {
        var announcedCode: Int32?
        /// When it announced that (CLOCK_MONOTONIC).
        var announcedTime: Int64?
        /// Nothing is left of it that anybody could see.
        var isOver = false
        var outcome: Message?
        /// Why its outcome is not here although it sent something.
        var receptionError: SystemError?
        var report: CrashReport?
        var status: ExitStatus?
        /// Readable from its end on; made when somebody asks for it.
        var sentinel: SharedDescriptor?
        /// Called once its end is known.
        var onEnd: [@Sendable () -> Void] = []
    }

    /// Its pid. Another process may have the number once it has ended.
    let processIdentifier: Int32
    /// Whether it is this process' own child, to be reaped here; otherwise the server's.
    let isOwnChild: Bool
    /// Readable when it has ended.
    let pidfd: OwnedDescriptor
    /// Happens when its end is known here.
    let ended = Notice()
    /// Happens when its outcome is there, or its end is known.
    let answered = Notice()
    private let link: Link
    /// Held while a message is taken from the link and noted, so that they are noted in order.
    private let record = PlainMutex(Record())
    /// The outcome of reaping an own child: nil before it, nil in it when somebody else did.
    private let reaped = PlainMutex<ExitStatus??>(nil)

    /// Takes over the descriptors of a child.
    init(processIdentifier: Int32, isOwnChild: Bool, pidfd: consuming OwnedDescriptor, link: consuming Link) {
        self.processIdentifier = processIdentifier
        self.isOwnChild = isOwnChild
        self.pidfd = pidfd
        self.link = link
    }

    /// The socket, to wait for.
    var linkNumber: Int32 { link.socket.number }

    /// How it ended, when that is known.
    var status: ExitStatus? { record.withLock { $0.status } }

    /// Why a message of it, such as its outcome, could not be received.
    var receptionError: SystemError? { record.withLock { $0.receptionError } }

    /// What it said when it crashed.
    var report: CrashReport? { record.withLock { $0.report } }

    /// Its outcome, when it is there. Given once.
    func takeOutcome() -> Message? {
        record.withLock { record in
            defer { record.outcome = nil }
            return record.outcome
        }
    }

    /// A descriptor that becomes readable when its end is known. The pidfd would not do: it is readable before anybody can tell how the process has ended.
    func sentinel() throws(SystemError) -> SharedDescriptor {
        try record.withLock { record throws(SystemError) in
            if let made = record.sentinel { return made }
            let made = SharedDescriptor(
                try OwnedDescriptor(checking: mp_eventfd(record.status == nil ? 0 : 1), "making a sentinel")
            )
            record.sentinel = made
            return made
        }
    }

    /// Sends the job.
    func send(_ bytes: UnsafeRawBufferPointer, descriptors: [Int32]) throws(SystemError) {
        try link.send(.job, bytes, descriptors: descriptors)
    }

    /// Tells a copy of this process, which waits for that, to begin.
    func letBegin() {
        // What makes it fail is that the copy has ended.
        try? link.send(.soon, wait: false)
    }

    /// Sends a signal. Does nothing when it has ended.
    func signal(_ number: Int32) throws(SystemError) {
        guard mp_pidfd_send_signal(pidfd.number, number) < 0, errno != ESRCH else { return }
        throw SystemError("sending signal \(number) to the process \(processIdentifier)")
    }

    // MARK: - Learning

    /// Takes what is in the link.
    ///
    /// - Returns: Whether more may come.
    @discardableResult
    func collect() -> Bool {
        let isOpen = receive()
        let end = record.withLock { record in
            record.isOver && record.status == nil ? record.announcedCode : nil
        }
        if let end { settle(.exited(end)) }
        return isOpen
    }

    private func receive() -> Bool {
        let (hasOutcome, isOpen) = record.withLock { record in
            while true {
                switch try? link.receive(wait: false) {
                case .message(let message):
                    Self.note(message, in: &record)
                    // These were its last words.
                    if record.isOver { return (record.outcome != nil, false) }
                case .unreceivable(let error): record.receptionError = error
                case .wouldBlock: return (record.outcome != nil, true)
                case .endOfFile, nil: return (record.outcome != nil, false)
                }
            }
        }
        if hasOutcome { answered.post() }
        return isOpen
    }

    private static func note(_ message: Message, in record: inout Record) {
        switch message.kind {
        case .outcome: record.outcome = message
        case .exiting:
            message.withReader { reader in
                record.announcedCode = try? reader.read(Int32.self)
                record.isOver = (try? reader.read(UInt32.self)) == 1
                record.announcedTime = try? reader.read(Int64.self)
            }
        case .crash:
            record.report = message.withReader { reader in
                (try? reader.readBytes(reader.remaining)).flatMap(CrashReport.init)
            }
        default: break
        }
    }

    /// Notes its end. Only the first call does anything.
    ///
    /// - Parameter status: The wait status, or nil when there is nobody left to tell; then what it announced counts, or the signal it reported, and without either it was killed.
    func noteEnd(_ status: ExitStatus?) {
        _ = receive()
        settle(status)
    }

    private func settle(_ status: ExitStatus?) {
        let onEnd = record.withLock { record -> [@Sendable () -> Void]? in
            guard record.status == nil else { return nil }
            let announced = record.announcedCode.map { ExitStatus.exited($0) }
            record.status = status ?? announced ?? .signaled(record.report?.signal ?? .kill)
            record.sentinel?.signalEvent()
            defer { record.onEnd = [] }
            return record.onEnd
        }
        // Another thread is at it, and says so when all that follows from the end is done.
        guard let onEnd else { return }
        for body in onEnd { body() }
        answered.post()
        ended.post()
    }

    /// Calls `body` when its end becomes known, or now.
    func whenEnded(_ body: @escaping @Sendable () -> Void) {
        let isLate = record.withLock { record in
            if record.status == nil { record.onEnd.append(body) }
            return record.status != nil
        }
        if isLate { body() }
    }

    /// Called when the pidfd is readable: takes what can be known at once.
    ///
    /// - Returns: Whether the end is known now.
    func noteExit() -> Bool {
        if isOwnChild {
            if let (status, _) = reap() { noteEnd(status) }
        } else {
            collect()
            if let code = record.withLock({ $0.announcedCode }) { noteEnd(.exited(code)) }
        }
        return ended.hasHappened
    }

    /// Looks whether it has ended, without waiting. Returns whether its end is known now.
    func noteExitIfGone() -> Bool {
        if ended.hasHappened { return true }
        collect()
        return ended.hasHappened || (Polling.isReadable(pidfd.number) && noteExit())
    }

    /// Reaps it, once, now that it has ended. Nil while it still runs.
    ///
    /// - Returns: Its status; in it nil when somebody else has reaped it (a `waitpid(-1)` elsewhere in the program, the kernel where SIGCHLD is ignored, or the process that this one is
    ///   a copy of) and nobody can tell.
    private func reap() -> (status: ExitStatus?, Void)? {
        reaped.withLock { reaped in
            if let reaped { return (reaped, ()) }
            switch ChildWait.reap(pidfd.number, waits: false) {
            case .ended(let status): reaped = .some(status)
            case .running: return nil
            case .unknown: reaped = .some(nil)
            }
            return (reaped ?? nil, ())
        }
    }

    // MARK: - Waiting

    /// Blocks until it has ended or the deadline has come. Returns whether it has ended.
    func waitForEnd(until deadline: Deadline) throws -> Bool {
        if ended.hasHappened { return true }
        let start = mp_now()
        // Between an outcome and the end there is always little time, which says nothing of other waits.
        let isWhole = !answered.hasHappened
        defer { if isWhole { learn(since: start) } }
        Patience.withChildren.look(until: deadline) {
            ended.hasHappened || Polling.isReadable(linkNumber, or: pidfd.number)
        }
        var isOpen = true
        while !ended.hasHappened {
            // A link that is closed while the process lives stays readable: only the end is left to wait for.
            let ready = try Polling.waitReadable([pidfd.number] + (isOpen ? [linkNumber] : []), until: deadline)
            if ready.count > 1, ready[1] { isOpen = collect() }
            // The process is gone. The status is here, or with the server, which tells it or ends itself.
            if ready[0] { return noteExit() || ended.wait(until: deadline) }
            if deadline.hasPassed { break }
        }
        return ended.hasHappened
    }

    /// Blocks until its outcome is there, it has ended, or the deadline has come. Returns false for the last.
    func waitForAnswer(until deadline: Deadline) throws -> Bool {
        if answered.hasHappened { return true }
        let start = mp_now()
        defer { learn(since: start) }
        Patience.withChildren.look(until: deadline) {
            answered.hasHappened || Polling.isReadable(linkNumber, or: pidfd.number)
        }
        while !answered.hasHappened {
            let ready = try Polling.waitReadable([linkNumber, pidfd.number], until: deadline)
            if ready[0] { collect() }
            if answered.hasHappened { break }
            if ready[1] { return noteExit() || ended.wait(until: deadline) }
            // A link that is closed while the process lives stays readable: only the end is left to wait for.
            if ready[0], !answered.hasHappened { return try waitForEnd(until: deadline) }
            if deadline.hasPassed { return answered.hasHappened }
        }
        return true
    }

    /// Learns for the next wait how long this one took.
    private func learn(since start: Int64) {
        Patience.withChildren.learn(from: (record.withLock { $0.announcedTime } ?? mp_now()) - start)
    }
}
