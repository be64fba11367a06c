// SPDX-License-Identifier: Apache-2.0
//
// Values of flat types (`FlatCoding`) go straight from where they are into the ring, and from there to where they are wanted: one copy on each side, and no buffer.

internal import Glibc
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

    /// Takes a value of a flat type as `take` does; if it is done, `place` is initialized with it.
    ///
    /// - Parameter buffers: Where a message that is something else is copied to, so that the decoder can say what.
    @inline(__always)
    func take<Value: Decodable>(
        _ flat: FlatCoding,
        to place: UnsafeMutablePointer<Value>,
        until deadline: Deadline,
        waitsForOthers: Bool = true,
        buffers: MessageBuffers
    ) throws -> RingOutcome {
        var descriptors: [Int32] = []
        var isRead = false
        var other: IncomingMessage?
        let outcome: RingOutcome
        do {
            outcome = try take(until: deadline, waitsForOthers: waitsForOthers, descriptors: &descriptors) { bytes in
                isRead = flat.decode(from: bytes, to: place)
                if !isRead { other = Self.copy(bytes, buffers) }
            }
        } catch {
            if isRead { place.deinitialize(count: 1) }
            if let other { buffers.giveBack(other) }
            throw error
        }
        guard case .done = outcome else { return outcome }
        if let other {
            defer { buffers.giveBack(other) }
            other.descriptors = descriptors
            place.initialize(to: try other.decode(Value.self))
        } else if !descriptors.isEmpty {
            for descriptor in descriptors { close(descriptor) }
        }
        return .done
    }

    @inline(never)
    private static func copy(_ bytes: UnsafeRawBufferPointer, _ buffers: MessageBuffers) -> IncomingMessage {
        let message = buffers.takeIncoming()
        message.fill(bytes)
        return message
    }
}
