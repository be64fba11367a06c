// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingWireCoding
internal import Synchronization

/// A message on its way out: its bytes, and the descriptors beside them.
///
/// `@unchecked` is safe because only one call at a time uses a buffer: it takes it out of its pool and puts it back.
final class OutgoingMessage: @unchecked Sendable {
    // Only one call at a time uses a buffer, so that nothing has to be checked each time.
    @exclusivity(unchecked) private var writer = WireWriter()
    private let carried = CarriedDescriptors()
    private let userInfo: [CodingUserInfoKey: Any]

    /// Memory that is kept for the next message, in bytes.
    static let keptCapacity = 4 << 20

    /// Creates an empty message.
    ///
    /// - Parameter refusal: Why it can carry no handles; nil if it can.
    init(refusal: String? = nil) {
        userInfo =
            refusal.map { [HandleNotPortable.refusalKey: $0] } ?? [CarriedDescriptors.userInfoKey: carried]
    }

    /// Encodes `value` as the message.
    func encode<T: Encodable>(_ value: T) throws {
        try WireCoding.encode(value, into: &writer, userInfo: userInfo)
    }

    /// Adds what `body` writes; it gets the coders' `userInfo` as well.
    func write<R>(_ body: (inout WireWriter, [CodingUserInfoKey: Any]) throws -> R) rethrows -> R {
        try body(&writer, userInfo)
    }

    /// Attaches a descriptor that `owner` keeps open.
    func attach(_ number: Int32, owner: AnyObject) {
        _ = carried.attach(number, owner: owner)
    }

    /// Adds bytes as they are.
    func append(_ bytes: UnsafeRawBufferPointer) {
        writer.writeBytes(bytes)
    }

    /// The descriptors of the handles in the message.
    var descriptors: [Int32] { carried.numbers }

    /// Calls `body` with the bytes.
    func withBytes<R, Failure: Error>(_ body: (UnsafeRawBufferPointer) throws(Failure) -> R) throws(Failure) -> R {
        try writer.withUnsafeBytes(body)
    }

    /// Makes it empty for the next message.
    func reset() {
        carried.forgetAttached()
        writer.removeAll(keepingCapacity: writer.capacity <= Self.keptCapacity)
    }
}

/// A message that came in, copied out of the ring.
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
            precondition(memory != nil, "no memory for a message of \(bytes.count) bytes")
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

    /// The bytes.
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: memory, count: count) }

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
        count = 0
        guard capacity > OutgoingMessage.keptCapacity else { return }
        free(memory)
        memory = nil
        capacity = 0
    }
}

/// Keeps one buffer of each kind between calls, so that their memory stays warm.
///
/// Without a lock, which a forked child could find held by a thread that it does not have.
final class MessageBuffers: Sendable {
    /// Why messages can carry no handles; nil if they can.
    private let refusal: String?
    private let outgoing = Atomic<Unmanaged<OutgoingMessage>?>(nil)
    private let incoming = Atomic<Unmanaged<IncomingMessage>?>(nil)

    init(refusal: String? = nil) {
        self.refusal = refusal
    }

    deinit {
        // Relaxed: nobody else is left.
        outgoing.load(ordering: .relaxed)?.release()
        incoming.load(ordering: .relaxed)?.release()
    }

    /// Calls `body` with an empty buffer.
    @inline(__always)
    func withOutgoing<R>(_ body: (OutgoingMessage) throws -> R) rethrows -> R {
        let buffer = takeOutgoing()
        defer { giveBack(buffer) }
        return try body(buffer)
    }

    /// Calls `body` with an empty buffer.
    @inline(__always)
    func withIncoming<R>(_ body: (IncomingMessage) throws -> R) rethrows -> R {
        let buffer = takeIncoming()
        defer { giveBack(buffer) }
        return try body(buffer)
    }

    /// An empty buffer, to be given back.
    func takeOutgoing() -> OutgoingMessage {
        // Acquiring, here and below: pairs with the release in `giveBack` of whoever used it last.
        outgoing.exchange(nil, ordering: .acquiring)?.takeRetainedValue() ?? OutgoingMessage(refusal: refusal)
    }

    /// An empty buffer, to be given back.
    func takeIncoming() -> IncomingMessage {
        incoming.exchange(nil, ordering: .acquiring)?.takeRetainedValue() ?? IncomingMessage()
    }

    /// Takes a buffer back.
    func giveBack(_ buffer: OutgoingMessage) {
        buffer.reset()
        outgoing.exchange(.passRetained(buffer), ordering: .acquiringAndReleasing)?.release()
    }

    /// Takes a buffer back.
    func giveBack(_ buffer: IncomingMessage) {
        buffer.reset()
        incoming.exchange(.passRetained(buffer), ordering: .acquiringAndReleasing)?.release()
    }
}
