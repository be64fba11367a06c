// SPDX-License-Identifier: Apache-2.0
//
// Values of flat types (`FlatCoding`) go straight from where they are into the ring, and from there to where they are wanted: one copy on each side, and no buffer.

internal import MultiprocessingChannels
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

extension Ring {
    /// Puts a value of a flat type as `put` does.
    @inline(__always)
    func put<Value>(
        _ value: Value,
        _ flat: FlatCoding,
        until deadline: Deadline,
        waitsForOthers: Bool = true
    ) throws(SystemError) -> RingOutcome {
        let bound = flat.bound(value)
        return try put(upTo: bound, until: deadline, waitsForOthers: waitsForOthers) { memory in
            flat.encode(value, to: memory, bound: bound)
        }
    }

    /// Takes the message that was found, a value of a flat type, and returns the value.
    ///
    /// - Parameter buffers: Where a message that is something else is copied to, so that the whole decoder can say what.
    /// - Throws: What the decoder throws; `SystemError`. The message has been taken then.
    @inline(__always)
    func finish<Value: Decodable>(
        _ message: inout FoundMessage,
        _ type: Value.Type,
        _ flat: FlatCoding,
        _ buffers: MessageBuffers
    ) throws -> Value {
        let value: Value
        do {
            value = try flat.decode(type, from: message.bytes)
        } catch {
            return try finishAndTell(&message, type, buffers)
        }
        try finish(&message)
        return value
    }

    /// Takes a message that is no value of the type in its usual form.
    @inline(never)
    private func finishAndTell<Value: Decodable>(
        _ message: inout FoundMessage,
        _ type: Value.Type,
        _ buffers: MessageBuffers
    ) throws -> Value {
        let copy = buffers.takeIncoming()
        defer { buffers.giveBack(copy) }
        copy.fill(message.bytes)
        try finish(&message, descriptors: &copy.descriptors)
        return try copy.decode(type)
    }

    /// Takes the message that was found, and calls `body` with the bytes in `message`: a copy, or a large one where it lies.
    ///
    /// - Parameter message: Empty, and of no use after the call.
    func finish<R>(_ found: inout FoundMessage, through message: IncomingMessage, _ body: () throws -> R) throws -> R {
        guard found.isTaken else {
            message.fill(found.bytes)
            try finish(&found, descriptors: &message.descriptors)
            return try body()
        }
        message.borrow(found.bytes)
        let result = Result { try body() }
        try finish(&found, descriptors: &message.descriptors)
        return try result.get()
    }

    /// Takes the message that was found and returns its bytes.
    ///
    /// - Parameter most: The longest one that is returned; a longer one is taken all the same, and its length returned.
    func finishBytes(_ found: inout FoundMessage, most: Int) throws(SystemError) -> (bytes: [UInt8]?, count: Int) {
        let count = found.bytes.count
        let bytes = count <= most ? Array(found.bytes) : nil
        try finish(&found)
        return (bytes, count)
    }
}
