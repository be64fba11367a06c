// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingChannels
internal import MultiprocessingPrimitives

extension Connection {
    // MARK: - Sending

    /// Sends bytes as one message, without a copy besides the one to the receiver; the thread is blocked while the receiver has too much to receive already. An empty message is a message.
    ///
    /// - Parameters:
    ///   - bytes: What is sent.
    ///   - timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Throws: As `send(_:timeout:)`.
    @available(*, noasync)
    public func sendBytes(_ bytes: UnsafeRawBufferPointer, timeout: Duration? = nil) throws {
        let deadline = deadline(timeout)
        if let outcome = try withRingLink({ try $0.send(bytes, descriptors: [], until: deadline) }) {
            return try sent(outcome, timeout)
        }
        try sent(try link.send(bytes, descriptors: [], until: deadline), timeout)
    }

    /// Sends bytes as one message; the thread is blocked while the receiver has too much to receive already.
    ///
    /// - Parameters:
    ///   - bytes: What is sent.
    ///   - timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Throws: As `send(_:timeout:)`.
    @available(*, noasync)
    public func sendBytes(_ bytes: [UInt8], timeout: Duration? = nil) throws {
        try bytes.withUnsafeBytes { try sendBytes($0, timeout: timeout) }
    }

    /// Sends bytes as one message; the task is suspended while the receiver has too much to receive already.
    ///
    /// - Parameters:
    ///   - bytes: What is sent.
    ///   - timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Throws: As the blocking `sendBytes`; `CancellationError` when the task was cancelled before, or is while it waits: nothing is sent then.
    public func sendBytes(_ bytes: [UInt8], timeout: Duration? = nil) async throws {
        let message = link.buffers.takeOutgoing()
        defer { link.buffers.giveBack(message) }
        bytes.withUnsafeBytes { message.append($0) }
        try sent(try await link.send(message, until: Deadline(timeout: timeout)), timeout)
    }

    /// Sends bytes as one message; the task is suspended while the receiver has too much to receive already. They are copied before that.
    ///
    /// - Parameters:
    ///   - bytes: What is sent.
    ///   - timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Throws: As the blocking `sendBytes`; `CancellationError` when the task was cancelled before, or is while it waits: nothing is sent then.
    public func sendBytes(_ bytes: UnsafeRawBufferPointer, timeout: Duration? = nil) async throws {
        let message = link.buffers.takeOutgoing()
        defer { link.buffers.giveBack(message) }
        message.append(bytes)
        try sent(try await link.send(message, until: Deadline(timeout: timeout)), timeout)
    }

    // MARK: - Receiving

    /// Receives the bytes of one message; the thread is blocked until there is one.
    ///
    /// - Parameters:
    ///   - maxLength: The longest message to accept in bytes; nil for any.
    ///   - timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Throws: As `receive(_:timeout:)`; `ConnectionError` (`messageTooLong`) for a longer message, which has been received then, and (`invalidLength`) for a length below 0, with nothing received.
    @available(*, noasync)
    public func receiveBytes(maxLength: Int? = nil, timeout: Duration? = nil) throws -> [UInt8] {
        try Self.checkLength(maxLength)
        var found = FoundMessage()
        if let outcome = try withRingLink({ try $0.find(&found, until: Deadline(timeout: timeout)) }) {
            try received(outcome, timeout)
            let message = try withRingLink { try $0.finishBytes(&found, most: maxLength ?? .max) }
            guard let bytes = message?.bytes else { throw Self.tooLong(message?.count ?? 0, maxLength) }
            return bytes
        }
        return try link.buffers.withIncoming { message in
            try received(try link.receive(into: message, until: Deadline(timeout: timeout)), timeout)
            return try Self.bytes(of: message, maxLength)
        }
    }

    /// Receives the bytes of one message; the task is suspended until there is one.
    ///
    /// - Parameters:
    ///   - maxLength: The longest message to accept in bytes; nil for any.
    ///   - timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Throws: As the blocking `receiveBytes`; `CancellationError`.
    public func receiveBytes(maxLength: Int? = nil, timeout: Duration? = nil) async throws -> [UInt8] {
        try Self.checkLength(maxLength)
        let message = link.buffers.takeIncoming()
        defer { link.buffers.giveBack(message) }
        try received(try await link.receive(into: message, until: Deadline(timeout: timeout)), timeout)
        return try Self.bytes(of: message, maxLength)
    }

    /// Receives the bytes of one message into `buffer` and returns how many; the thread is blocked until there is one.
    ///
    /// - Parameters:
    ///   - buffer: Where the message goes.
    ///   - timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Throws: As `receive(_:timeout:)`; `ConnectionError` (`bufferTooSmall`), with the bytes, for a longer message.
    @available(*, noasync)
    public func receiveBytes(into buffer: UnsafeMutableRawBufferPointer, timeout: Duration? = nil) throws -> Int {
        let deadline = deadline(timeout)
        var found = FoundMessage()
        if let outcome = try withRingLink({ try $0.find(&found, until: deadline) }) {
            try received(outcome, timeout)
            let count = found.bytes.count
            guard count <= buffer.count else {
                let error = tooSmall(buffer, Array(found.bytes))
                try withRingLink { try $0.finish(&found) }
                throw error
            }
            buffer.baseAddress?.copyFew(found.bytes)
            try withRingLink { try $0.finish(&found) }
            return count
        }
        return try link.buffers.withIncoming { message in
            message.target = buffer
            try received(try link.receive(into: message, until: deadline), timeout)
            guard message.isInTarget else { throw tooSmall(buffer, Array(message.bytes)) }
            return message.count
        }
    }

    /// Receives the bytes of one message into `buffer` and returns how many; the task is suspended until there is one.
    ///
    /// The memory is the caller's to keep until the call returns, by success, error or cancellation; afterwards nothing is written to it. It cannot be that of an array, which is an array's only
    /// within a call of `withUnsafeMutableBytes`.
    ///
    /// - Parameters:
    ///   - buffer: Where the message goes.
    ///   - timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Throws: As the blocking `receiveBytes(into:timeout:)`; `CancellationError` when the task was cancelled before, or is while it waits: nothing is received then.
    public func receiveBytes(into buffer: UnsafeMutableRawBufferPointer, timeout: Duration? = nil) async throws -> Int {
        let message = link.buffers.takeIncoming()
        defer { link.buffers.giveBack(message) }
        message.target = buffer
        try received(try await link.receive(into: message, until: Deadline(timeout: timeout)), timeout)
        guard message.isInTarget else { throw tooSmall(buffer, Array(message.bytes)) }
        return message.count
    }

    private func tooSmall(_ buffer: UnsafeMutableRawBufferPointer, _ bytes: [UInt8]) -> ConnectionError {
        let text = "a message of \(bytes.count) bytes does not fit into a buffer of \(buffer.count)"
        return ConnectionError(.bufferTooSmall, text, receivedBytes: bytes)
    }

    private static func bytes(of message: IncomingMessage, _ maxLength: Int?) throws -> [UInt8] {
        if let maxLength, message.count > maxLength { throw tooLong(message.count, maxLength) }
        return Array(message.bytes)
    }

    private static func tooLong(_ count: Int, _ maxLength: Int?) -> ConnectionError {
        ConnectionError(.messageTooLong, "a message of \(count) bytes came where \(maxLength ?? 0) were allowed")
    }

    /// Throws for a length that no message can have, before one is received.
    private static func checkLength(_ maxLength: Int?) throws {
        guard let maxLength, maxLength < 0 else { return }
        throw ConnectionError(.invalidLength, "no message is as short as \(maxLength) bytes")
    }
}
