// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingWireCoding

/// A message that came in, copied out of the ring; or, for as long as it is decoded, a large one where it lies.
///
/// `@unchecked` is safe because only one call at a time uses a buffer.
final class IncomingMessage: @unchecked Sendable {
    @exclusivity(unchecked) private var memory: UnsafeMutableRawPointer?
    @exclusivity(unchecked) private var capacity = 0
    @exclusivity(unchecked) private(set) var count = 0
    /// The descriptors beside the bytes; closed with `reset` unless a handle took them.
    @exclusivity(unchecked) var descriptors: [Int32] = []

    /// Where the bytes are to go instead, if they fit; for one message.
    @exclusivity(unchecked) var target: UnsafeMutableRawBufferPointer?
    /// Whether they went there.
    @exclusivity(unchecked) private(set) var isInTarget = false

    /// Bytes that are not this object's; for one message.
    @exclusivity(unchecked) private var borrowed: UnsafeRawBufferPointer?

    /// What a message without descriptors is decoded with.
    private let withoutDescriptors: [CodingUserInfoKey: Any] = [
        CarriedDescriptors.userInfoKey: CarriedDescriptors(received: [])
    ]

    deinit {
        free(memory)
    }

    /// Copies the bytes of the message.
    func fill(_ bytes: UnsafeRawBufferPointer) {
        if let target, bytes.count <= target.count {
            count = bytes.count
            isInTarget = true
            target.copyMemory(from: bytes)
            return
        }
        if bytes.count > capacity {
            free(memory)
            memory = malloc(bytes.count)
            guard memory != nil else { fatalError("no memory for a message of \(bytes.count) bytes") }
            capacity = bytes.count
        }
        count = bytes.count
        if let memory, let source = bytes.baseAddress { memcpy(memory, source, bytes.count) }
    }

    /// Takes the bytes that `buffer` holds, by an exchange of memory, and descriptors that are this message's then.
    func take(_ buffer: inout ReceiveBuffer, descriptors: [Int32]) {
        self.descriptors = descriptors
        if let target, buffer.count <= target.count {
            count = buffer.count
            isInTarget = true
            if let source = buffer.memory {
                target.copyMemory(from: UnsafeRawBufferPointer(start: source, count: count))
            }
            buffer.count = 0
            return
        }
        count = buffer.count
        buffer.exchange(&memory, &capacity)
    }

    /// Stands for `bytes`, which the caller keeps until `reset`, without a copy.
    func borrow(_ bytes: UnsafeRawBufferPointer) {
        borrowed = bytes
        count = bytes.count
    }

    /// The bytes.
    var bytes: UnsafeRawBufferPointer { borrowed ?? UnsafeRawBufferPointer(start: memory, count: count) }

    /// Decodes the message, all of it.
    func decode<T: Decodable>(_ type: T.Type) throws -> T {
        guard !descriptors.isEmpty else {
            return try WireCoding.decode(type, from: bytes, userInfo: withoutDescriptors)
        }
        let carried = CarriedDescriptors(received: descriptors)
        descriptors = []
        return try WireCoding.decode(type, from: bytes, userInfo: [CarriedDescriptors.userInfoKey: carried])
    }

    /// Calls `body` with a reader of the message and the coders' `userInfo`, valid during the call.
    func withReader<R>(_ body: (inout WireReader, [CodingUserInfoKey: Any]) throws -> R) rethrows -> R {
        var reader = WireReader(bytes)
        guard !descriptors.isEmpty else { return try body(&reader, withoutDescriptors) }
        let carried = CarriedDescriptors(received: descriptors)
        descriptors = []
        return try body(&reader, [CarriedDescriptors.userInfoKey: carried])
    }

    /// Makes it empty for the next message.
    func reset() {
        for number in descriptors { close(number) }
        descriptors = []
        target = nil
        isInTarget = false
        borrowed = nil
        count = 0
        guard capacity > OutgoingMessage.keptCapacity else { return }
        free(memory)
        memory = nil
        capacity = 0
    }
}
