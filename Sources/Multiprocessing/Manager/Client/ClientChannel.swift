// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import MultiprocessingChannels
internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding
internal import Synchronization

/// This process's connection to a manager: requests go out in the order they are made, answers come as the calls end.
final class ClientChannel: Sendable {
    /// What writes the rest of a request, behind the number of its call.
    typealias Body = (inout WireWriter, [CodingUserInfoKey: Any]) throws -> Void

    private static let count = Atomic<UInt32>(0)

    /// Tells the channels apart that this process and those it is a copy of ever had.
    let serial = UInt64(mp_fork_generation()) << 32 | UInt64(ClientChannel.count.add(1, ordering: .relaxed).newValue)
    let link: any ConnectionLink
    let calls = Mutex(PendingCalls<CallWaiter>())
    let functions = Mutex(FunctionNumbers<ManagedFunction.Key>())
    /// Values whose release found no room.
    let unsentReleases = Mutex<[UInt64]>([])
    /// Asked once the channel has ended: how the manager did, whose process was that of the given number, if it has said so. May block for a moment.
    private let readEpitaph: @Sendable (UInt32?) -> ManagerLost
    /// Which of the manager's processes is at the other end, plus 1; 0 until it has said so.
    private let serverNumber = Atomic<UInt64>(0)
    /// Where it is told that processes of the manager have ended, if it shares memory with this one.
    private let epitaph: Epitaph?
    private let cause = Mutex<ManagerLost?>(nil)
    /// Happens when the cause is known that somebody is finding out.
    private let inquiry = Mutex<Notice?>(nil)
    /// Beside the calls as well, because each call asks: without their lock.
    private let isOver = Atomic<Bool>(false)

    /// The manager at the other end, when handles go as numbers (HandlePassage.swift).
    let remote: ManagerIdentity?
    /// The socket, which must not stay open in a fork of this process: the manager sees by its end that this process has ended.
    private let ownSocket: Int32?

    /// Creates the channel over `link`, to the manager `remote` over a stream.
    init(
        _ link: any ConnectionLink,
        of remote: ManagerIdentity? = nil,
        epitaph: Epitaph? = nil,
        whyEnded: @escaping @Sendable (UInt32?) -> ManagerLost
    ) {
        self.link = link
        self.remote = remote
        self.epitaph = epitaph
        readEpitaph = whyEnded
        ownSocket = link.socketNumber
        if let ownSocket { ForkLock.add(ownSocket) }
    }

    deinit {
        if let ownSocket { ForkLock.remove(ownSocket) }
    }

    /// Whether it was made by this process and not by one that this is a fork of, whose answers these would be.
    var isOfThisProcess: Bool { serial >> 32 == UInt64(mp_fork_generation()) }

    /// Why there are no answers any more. Blocks for a moment, at the first time.
    var lost: ManagerLost {
        if let knownCause { return knownCause }
        let (isKnown, isMine) = beginInquiry()
        if isMine { inquire(isKnown) } else { _ = isKnown.wait(until: .never) }
        return causeFound
    }

    /// Why there are no answers any more; the task is suspended while that is found out.
    func lostForTask() async throws -> ManagerLost {
        if let knownCause { return knownCause }
        let reactor = try Runtime.shared().reactor
        let (isKnown, isMine) = beginInquiry()
        if isMine {
            do { try Thread.start(name: "mp-inquiry") { [self] in inquire(isKnown) } } catch {
                // The others wait for it as well, and it takes a moment only.
                inquire(isKnown)
            }
        }
        _ = try await isKnown.wait(until: .never, on: reactor)
        return causeFound
    }

    /// Returns what happens when the cause is known, and whether it is the caller who finds it out: one for all, who may be thousands and have all lost the manager at the same time.
    private func beginInquiry() -> (isKnown: Notice, isMine: Bool) {
        inquiry.withLock { inquiry in
            if let inquiry { return (inquiry, false) }
            let mine = Notice()
            inquiry = mine
            return (mine, true)
        }
    }

    /// Finds out the cause. Blocks for a moment, over a network for some seconds.
    private func inquire(_ isKnown: Notice) {
        let lost = readEpitaph(knownServerNumber)
        cause.withLock { $0 = lost }
        isKnown.post()
    }

    /// The cause, after an inquiry.
    private var causeFound: ManagerLost {
        guard let knownCause else { preconditionFailure("an inquiry without an answer") }
        return knownCause
    }

    /// Why there are no answers any more, if somebody has asked, or the manager has said it.
    var knownCause: ManagerLost? { cause.withLock { $0 } }

    private var knownServerNumber: UInt32? {
        // Relaxed: it stands alone.
        let number = serverNumber.load(ordering: .relaxed)
        return number == 0 ? nil : UInt32(truncatingIfNeeded: number - 1)
    }

    /// Whether the process at the other end is told to have ended. That the link is over may be known later: the kernel says so to a thread of this process, which may have to wait for a processor, while
    /// somebody else has called the next one of the manager's processes by then.
    @inline(__always)
    var isOutlived: Bool {
        guard let epitaph, let number = knownServerNumber else { return false }
        return epitaph.deaths &- number &- 1 < UInt32.max / 2
    }

    /// Whether the manager is known to be gone. Acquiring: pairs with the release in `end`.
    var hasEnded: Bool { isOver.load(ordering: .acquiring) }

    // MARK: - The end

    /// Ends the channel; the manager forgets this process. Who still waits is told: a call under way holds the channel, and the channel the call.
    func close() {
        link.close()
        end()
    }

    /// Notes that no more answers will come, and tells those who wait for one.
    func end() {
        let waiters = calls.withLock { calls in
            // With the lock: whoever finds no room for a call any more finds the mark.
            isOver.store(true, ordering: .releasing)
            return calls.end()
        }
        for waiter in waiters { Self.answer(waiter, .lost) }
    }

    // MARK: - Parts of a call

    /// Writes a request.
    func write(
        _ kind: ManagerRequest,
        _ number: UInt64,
        _ body: Body,
        to message: OutgoingMessage
    ) throws {
        try message.write { writer, userInfo in
            writer.write(kind.rawValue)
            writer.write(number)
            try body(&writer, remote.map { HandlePassage($0).added(to: userInfo) } ?? userInfo)
        }
    }

    /// Takes a response apart, away from the reading.
    func take<R>(
        _ response: ManagerResponse,
        _ read: (inout WireReader, [CodingUserInfoKey: Any]) throws -> R
    ) throws -> R {
        switch response {
        case .lost: throw lost
        case .failed(let error): throw error
        case .done: return try WireReader.withNothing { try read(&$0, [:]) }
        case .message(let message):
            defer { link.buffers.giveBack(message) }
            return try decode(message, read)
        }
    }

    /// Reads an answer.
    func decode<R>(
        _ message: IncomingMessage,
        _ read: (inout WireReader, [CodingUserInfoKey: Any]) throws -> R
    ) throws -> R {
        guard let remote else { return try message.withReader { try Self.decode(&$0, $1, read) } }
        let passage = try AnswerPassage(message.bytes, remote, self)
        defer { passage.end() }
        var reader = WireReader(passage.rest)
        return try Self.decode(&reader, passage.added(to: [:]), read)
    }

    private static func decode<R>(
        _ reader: inout WireReader,
        _ userInfo: [CodingUserInfoKey: Any],
        _ read: (inout WireReader, [CodingUserInfoKey: Any]) throws -> R
    ) throws -> R {
        _ = try reader.read(UInt64.self)
        switch ManagerAnswer(rawValue: try reader.read()) {
        case .done: return try read(&reader, userInfo)
        case .threw: throw try Outcome.readError(from: &reader, "the manager")
        case .refused: throw try ManagerError(from: &reader)
        case .farewell, .greeting, nil: throw WireCodingError(.invalidValue, "unknown kind of answer", at: 8)
        }
    }

    // MARK: - Answers for nobody

    /// Gives back what is in an answer that nobody waits for any more; and takes in what the manager says of itself.
    func noteUnasked(_ message: IncomingMessage) {
        if message.count >= 13, Self.number(of: message) == 0 {
            let word = message.bytes.loadUnaligned(fromByteOffset: 9, as: UInt32.self)
            switch ManagerAnswer(rawValue: message.bytes[8]) {
            // Relaxed: it stands alone.
            case .greeting: serverNumber.store(UInt64(word) + 1, ordering: .relaxed)
            case .farewell:
                let pid = Int32(bitPattern: word)
                cause.withLock { $0 = ManagerLost(.shutDown, status: nil, processIdentifier: pid) }
            default: break
            }
        } else if let remote {
            (try? AnswerPassage(message.bytes, remote, self))?.end()
        }
    }

    /// Gives back what is in an answer that `waiter` does not take.
    func giveBack(_ message: IncomingMessage, of waiter: CallWaiter) {
        if case .task(let waiter) = waiter, waiter.getsValue, message.count >= 17,
            message.bytes[8] == ManagerAnswer.done.rawValue
        {
            release(message.bytes.loadUnaligned(fromByteOffset: 9, as: UInt64.self))
        }
        noteUnasked(message)
    }

    /// Lets go of an answer that nobody takes.
    func discard(_ message: IncomingMessage) {
        noteUnasked(message)
        link.buffers.giveBack(message)
    }

    /// Hands an answer to the one who waits for it.
    ///
    /// - Returns: Whether it took it; a task that was cancelled does not.
    @discardableResult
    static func answer(_ waiter: CallWaiter, _ response: ManagerResponse) -> Bool {
        switch waiter {
        case .thread(let waiter):
            waiter.answer(response)
            return true
        case .task(let waiter): return waiter.answer(response)
        case .result(let waiter):
            waiter.answer(response)
            return true
        }
    }
}

extension WireReader {
    /// Calls `body` with a reader at its end.
    fileprivate static func withNothing<R>(_ body: (inout WireReader) throws -> R) rethrows -> R {
        try withUnsafeBytes(of: 0) { bytes in
            var reader = WireReader(UnsafeRawBufferPointer(rebasing: bytes[..<0]))
            return try body(&reader)
        }
    }
}
