// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingChannels
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// One end of a connection between two processes: what is sent at one end is received at the other one, in order, message by message.
///
/// ```swift
/// let (parent, child) = try Connection.pipe()
/// let process = ChildProcess { try child.send(["hello", "world"]) }
/// try process.start()
/// let words: [String] = try parent.receive()
/// ```
///
/// Any number of threads, tasks and processes may use one end of a pipe; each message is received by one of them. A connection to or from a ``Listener`` may be used by any number of threads and tasks, but
/// by several processes only in turn: two that send at the same time, or receive at the same time, would mix up their messages, and the connection would be lost. When all handles on the other end are closed or their processes have ended, by
/// whatever death, receiving throws `ConnectionError` (`endOfFile`) after everything that had been sent, and sending at once. Note that a handle on the other end that this process
/// keeps counts as well: close it once a child has it.
///
/// Up to 4 MiB are on their way in one direction before `send` waits for the receiver; a single message may be larger.
public final class Connection: Codable, Sendable {
    let link: any ConnectionLink

    /// `link` again where it is one through shared memory, which needs no buffer for what is flat. It lives as long as `link`: no count goes up and down with each message.
    private let ringLink: Unmanaged<RingLink>?

    /// Creates a connection over what carries its messages.
    init(_ link: any ConnectionLink) {
        self.link = link
        ringLink = (link as? RingLink).map { Unmanaged.passUnretained($0) }
    }

    /// Makes the two ends of a connection.
    ///
    /// - Parameter duplex: Whether both ends can send and receive. If not, the first can only receive and the second only send.
    /// - Throws: `SystemError` when there is no memory or descriptor for it; each end has three.
    public static func pipe(duplex: Bool = true) throws -> (Connection, Connection) {
        let (first, second) = try RingLink.pair(duplex: duplex)
        return (Connection(first), Connection(second))
    }

    /// Calls `body` with the link through shared memory; nil where there is none.
    @inline(__always)
    func withRingLink<R>(_ body: (RingLink) throws -> R) rethrows -> R? {
        guard let ringLink else { return nil }
        return try ringLink._withUnsafeGuaranteedRef(body)
    }

    /// The deadline of a call, with less to do for calls that have none.
    @inline(__always)
    func deadline(_ timeout: Duration?) -> Deadline {
        guard let timeout else { return Deadline(nanoseconds: .max) }
        return Deadline(timeout: timeout)
    }

    // MARK: - Values

    /// Sends a value; the thread is blocked while the receiver has too much to receive already.
    ///
    /// - Parameters:
    ///   - value: What is sent.
    ///   - timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Throws: `ConnectionError`: `endOfFile` when nobody has the other end, `closed`, `notWritable`, `messageTooLong`. `TimeoutError`; nothing is sent then. What encoding throws. `SystemError`, ETOOMANYREFS
    ///   when this user has more descriptors of handles on their way than a process may have open.
    @available(*, noasync)
    public func send<Value: Codable & Sendable>(_ value: Value, timeout: Duration? = nil) throws {
        if let flat = FlatCoding(Value.self),
            let outcome = try withRingLink({ try $0.send(value, flat, until: deadline(timeout)) })
        {
            return try sent(outcome, timeout)
        }
        try link.buffers.withOutgoing { message in
            try message.encode(value)
            try sent(try link.send(message, until: Deadline(timeout: timeout)), timeout)
        }
    }

    /// Sends a value; the task is suspended while the receiver has too much to receive already.
    ///
    /// - Parameters:
    ///   - value: What is sent.
    ///   - timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Throws: As the blocking `send`; `CancellationError` when the task was cancelled before, or is while it waits: nothing is sent then.
    public func send<Value: Codable & Sendable>(_ value: Value, timeout: Duration? = nil) async throws {
        let message = link.buffers.takeOutgoing()
        defer { link.buffers.giveBack(message) }
        try message.encode(value)
        try sent(try await link.send(message, until: Deadline(timeout: timeout)), timeout)
    }

    /// Receives a value; the thread is blocked until there is one.
    ///
    /// - Parameters:
    ///   - type: Of what type it is.
    ///   - timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Throws: `ConnectionError`: `endOfFile`, `closed`, `notReadable`, and from another program `invalidMessage`. `TimeoutError`. `WireCodingError` or `DecodingError` when the message is something else; it has been received then.
    @available(*, noasync)
    public func receive<Value: Codable & Sendable>(
        _ type: Value.Type = Value.self,
        timeout: Duration? = nil
    ) throws -> Value {
        if let ringLink, let flat = FlatCoding(type) {
            var message = FoundMessage()
            let outcome = try ringLink._withUnsafeGuaranteedRef {
                try $0.find(&message, until: deadline(timeout))
            }
            try received(outcome, timeout)
            return try ringLink._withUnsafeGuaranteedRef { try $0.finish(&message, type, flat) }
        }
        return try link.buffers.withIncoming { message in
            let deadline = Deadline(timeout: timeout)
            if let ringLink {
                var found = FoundMessage()
                try received(try ringLink._withUnsafeGuaranteedRef { try $0.find(&found, until: deadline) }, timeout)
                return try ringLink._withUnsafeGuaranteedRef {
                    try $0.finish(&found, through: message) { try message.decode(type) }
                }
            }
            try received(try link.receive(into: message, until: deadline), timeout)
            return try message.decode(type)
        }
    }

    /// Receives a value; the task is suspended until there is one.
    ///
    /// - Parameters:
    ///   - type: Of what type it is.
    ///   - timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Throws: As the blocking `receive`; `CancellationError` when the task was cancelled before, or is while it waits: nothing is received then.
    public func receive<Value: Codable & Sendable>(
        _ type: Value.Type = Value.self,
        timeout: Duration? = nil
    ) async throws -> Value {
        let message = link.buffers.takeIncoming()
        defer { link.buffers.giveBack(message) }
        try received(try await link.receive(into: message, until: Deadline(timeout: timeout)), timeout)
        return try message.decode(type)
    }

    // MARK: - State

    /// Returns whether something can be received, or the other end is gone; the thread is blocked until then or until the timeout. Over a socket a message may have begun to come, and its rest may not be there yet.
    ///
    /// - Parameter timeout: The longest time to wait: nil for ever, zero or less (the default) not at all.
    @available(*, noasync)
    public func poll(timeout: Duration? = .zero) throws -> Bool {
        try polled(try link.poll(until: Deadline(timeout: timeout)))
    }

    /// Returns whether something can be received, or the other end is gone; the task is suspended until then or until the timeout.
    ///
    /// - Parameter timeout: The longest time to wait: nil for ever, zero or less (the default) not at all.
    /// - Throws: As the blocking `poll`; `CancellationError`.
    public func poll(timeout: Duration? = .zero) async throws -> Bool {
        try polled(try await link.poll(until: Deadline(timeout: timeout)))
    }

    /// Ends the use of this handle; the other end sees the end of file once every handle on this end is closed. Calls under way and later ones throw `ConnectionError` (`closed`). So does sending this
    /// handle to another process; where it was given to a call already, it arrives, though no worker may have begun that yet.
    public func close() {
        link.close()
    }

    /// Whether `close()` was called.
    public var isClosed: Bool { link.isClosed }

    /// Whether this end can receive.
    public var isReadable: Bool { link.isReadable }

    /// Whether this end can send.
    public var isWritable: Bool { link.isWritable }

    /// Whether the process at the other end runs the same build of the same program, so that functions can be sent to it. True for a pipe; for a connection to or from a ``Listener`` both ends have
    /// told each other, and with a key proved, what they run.
    public var isSameProgram: Bool { link.isSameProgram }

    /// A descriptor that is readable when something can be received, at the end of file as well: for the poll(2) or epoll(7) of the user's own event loop. It is this object's and stays open as long as that
    /// lives; nobody may read from it or close it.
    ///
    /// It may be readable when another thread or process was faster: receive with a timeout of zero, or ask `poll()`, which also makes it unreadable again.
    ///
    /// - Throws: `ConnectionError`: `closed`, `notReadable`. `SystemError` when descriptors are short.
    public var descriptor: Int32 {
        get throws { try link.readableDescriptor() }
    }

    // MARK: - Sending the connection

    /// Opens the end in a process it was sent to.
    public init(from decoder: any Decoder) throws {
        let handle = try ChannelHandle.decode(type: Self.self, from: decoder)
        link = handle.flags & StreamLink.flag == 0 ? try RingLink(handle) : try StreamLink(handle)
        ringLink = (link as? RingLink).map { Unmanaged.passUnretained($0) }
    }

    /// Encodes this end for a process of this program, which then has it too.
    ///
    /// - Throws: ``HandleNotPortable`` for any other encoder, and for a connection between machines. `ConnectionError` (`messageUnderWay`) for a connection to or from a ``Listener`` of which a message
    ///   has been sent or received in part, because the time of a call was up: send or receive to its end before.
    public func encode(to encoder: any Encoder) throws {
        try link.encode(type: Self.self, to: encoder)
    }
}

extension Connection: CustomStringConvertible {
    /// The type and what it can do.
    public var description: String {
        "Connection(readable: \(isReadable), writable: \(isWritable), closed: \(isClosed))"
    }
}
