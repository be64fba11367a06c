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
    private let unsentReleases = Mutex<[UInt64]>([])
    /// Asked once the channel has ended: how the manager did. May block for a moment.
    private let readEpitaph: @Sendable () -> ManagerLost
    private let cause = Mutex<ManagerLost?>(nil)

    /// The manager at the other end, when handles go as numbers (HandlePassage.swift).
    let remote: ManagerIdentity?
    /// The socket, when it must not stay open in a fork of this process.
    private let ownSocket: Int32?

    /// Creates the channel over `link`, to the manager `remote` over a stream.
    init(
        _ link: any ConnectionLink,
        of remote: ManagerIdentity? = nil,
        epitaph: @escaping @Sendable () -> ManagerLost
    ) {
        self.link = link
        self.remote = remote
        readEpitaph = epitaph
        ownSocket = (link as? StreamLink)?.socket.number
        if let ownSocket { ForkLock.add(ownSocket) }
    }

    deinit {
        if let ownSocket { ForkLock.remove(ownSocket) }
    }

    /// Why there are no answers any more. Blocks for a moment, at the first time.
    var lost: ManagerLost {
        if let cause = cause.withLock({ $0 }) { return cause }
        let lost = readEpitaph()
        cause.withLock { $0 = lost }
        return lost
    }

    /// Whether the manager is known to be gone.
    var hasEnded: Bool { calls.withLock { $0.isOver } }

    // MARK: - Calls

    /// Makes a call and returns what `read` reads from the answer; the thread is blocked until then.
    ///
    /// - Throws: `ManagerLost`; the error that the function threw; `ManagerError`; what encoding throws.
    func call<R>(
        _ kind: ManagerRequest,
        _ body: Body,
        _ read: (inout WireReader, [CodingUserInfoKey: Any]) throws -> R
    ) throws -> R {
        let waiter = ThreadWaiter()
        guard let (number, _) = calls.withLock({ $0.add(.thread(waiter), isTask: false) }) else { throw lost }
        do {
            try link.buffers.withOutgoing { message in
                try write(kind, number, body, to: message)
                try sendReleases()
                guard try link.send(message, until: .never) == .done else { throw endOfChannel() }
            }
        } catch {
            _ = calls.withLock { $0.remove(number) }
            throw error
        }
        if calls.withLock({ $0.wait(for: number) }) == .lead { return try lead(number, waiter, read) }
        if let response = waiter.wait() { return try take(response, read) }
        return try lead(number, waiter, read)
    }

    /// Makes a call and returns what `read` reads from the answer; the task is suspended until then.
    ///
    /// - Throws: As the blocking form; `CancellationError` when the task is cancelled before the answer came. The call is made all the same.
    func call<R>(
        _ kind: ManagerRequest,
        _ body: Body,
        _ read: (inout WireReader, [CodingUserInfoKey: Any]) throws -> R
    ) async throws -> R {
        try Task.checkCancellation()
        let waiter = TaskWaiter()
        let number = try add(.task(waiter))
        do {
            let message = link.buffers.takeOutgoing()
            defer { link.buffers.giveBack(message) }
            try write(kind, number, body, to: message)
            try sendReleases()
            guard try await link.send(message, until: .never) == .done else { throw endOfChannel() }
        } catch {
            _ = calls.withLock { $0.remove(number) }
            throw error
        }
        let response = try await withTaskCancellationHandler {
            try await waiter.wait()
        } onCancel: {
            _ = calls.withLock { $0.remove(number) }
            if case .message(let message) = waiter.cancel() { discard(message) }
        }
        if case .lost = response { throw try await BlockingWaiters.run { [self] _ in lost } }
        return try take(response, read)
    }

    /// Says something that is not answered.
    func tell(_ kind: ManagerRequest, _ value: UInt64, descriptor: SharedDescriptor? = nil) throws {
        try link.buffers.withOutgoing { message in
            message.write { writer, _ in
                writer.write(kind.rawValue)
                writer.write(value)
            }
            if let descriptor { message.attach(descriptor.number, owner: descriptor) }
            guard try link.send(message, until: .never) == .done else { throw endOfChannel() }
        }
    }

    /// Says that a handle is gone. Does not wait: what finds no room goes with the next call.
    func release(_ value: UInt64) {
        let outcome = try? link.buffers.withOutgoing { message in
            message.write { writer, _ in
                writer.write(ManagerRequest.release.rawValue)
                writer.write(value)
            }
            return try link.send(message, until: .passed)
        }
        if outcome == .timedOut || outcome == .busy { unsentReleases.withLock { $0.append(value) } }
    }

    /// Sends what found no room before.
    func sendReleases() throws {
        let values = unsentReleases.withLock { values in
            defer { if !values.isEmpty { values = [] } }
            return values
        }
        for value in values { release(value) }
    }

    /// Ends the channel; the manager forgets this process. Who still waits is told: a call under way holds the channel, and the channel the call.
    func close() {
        link.close()
        for waiter in calls.withLock({ $0.end() }) { Self.answer(waiter, .lost) }
    }

    // MARK: - Parts of a call

    private func add(_ waiter: CallWaiter) throws -> UInt64 {
        guard let (number, startsPump) = calls.withLock({ $0.add(waiter, isTask: true) }) else { throw lost }
        if startsPump { startPump() }
        return number
    }

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

    /// Notes that the manager is gone, and why.
    func endOfChannel() -> ManagerLost {
        for waiter in calls.withLock({ $0.end() }) { Self.answer(waiter, .lost) }
        return lost
    }

    /// Takes a response apart, away from the reading.
    func take<R>(
        _ response: ManagerResponse,
        _ read: (inout WireReader, [CodingUserInfoKey: Any]) throws -> R
    ) throws -> R {
        switch response {
        case .lost: throw lost
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
        case .farewell, nil: throw WireCodingError(.invalidValue, "unknown kind of answer", at: 8)
        }
    }

    // MARK: - Answers for nobody

    /// Gives back what is in an answer that nobody waits for any more; and takes in that the manager shuts down.
    func noteUnasked(_ message: IncomingMessage) {
        guard let remote else { return }
        if Self.isFarewell(message) {
            let pid = message.count >= 13 ? message.bytes.loadUnaligned(fromByteOffset: 9, as: Int32.self) : 0
            cause.withLock { $0 = ManagerLost(.shutDown, status: nil, processIdentifier: pid) }
        } else {
            (try? AnswerPassage(message.bytes, remote, self))?.end()
        }
    }

    private static func isFarewell(_ message: IncomingMessage) -> Bool {
        message.count >= 9 && message.bytes[8] == ManagerAnswer.farewell.rawValue
            && message.bytes.loadUnaligned(as: UInt64.self) == 0
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
