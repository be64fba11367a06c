// SPDX-License-Identifier: Apache-2.0
//
// The decoder proper. The decoders and containers that user code sees know where in the message they are; this object holds what they share. Reading changes nothing, so that a container needs no
// record of its own, may be kept, copied and read in any order, and fails cleanly once the message is gone.

/// Where in its container a value is.
enum WireComponent {
    /// The value of the entry that begins at this offset.
    case entry(Int)
    /// The element at this index.
    case element(Int)
    /// The outermost value, or one that is all of the value around it.
    case whole
}

/// A value that is being decoded.
struct DecodingFrame {
    /// Where the value begins.
    let start: Int
    /// An offset that the value does not reach beyond.
    let end: Int
    /// Where the container begins that it is in.
    let container: Int
    /// Where in the container it is.
    let component: WireComponent
}

/// Where the next field of a keyed container is expected. Only a hint: a wrong one costs time.
struct DecodingHint {
    /// Where the container's body begins.
    var container = -1
    /// Where its next entry to be read is.
    var next = 0
}

/// What is under way while one value and everything in it are decoded. Not `Sendable`: used by one thread.
final class DecodingState {
    // Exclusive by design: every access is a leaf that calls no user code, so that the runtime's check would only cost time.
    /// The whole message, from the outermost value on; empty once that is decoded, so that nothing kept by user code touches bytes that are gone.
    @exclusivity(unchecked) private(set) var message: WireReader
    /// The values being decoded, outermost first.
    @exclusivity(unchecked) var frames: ContiguousArray<DecodingFrame> = []
    /// The hints of the keyed containers being read, by depth.
    @exclusivity(unchecked) var hints: ContiguousArray<DecodingHint> = []
    /// Where the entries are in containers of many entries that are read out of order, by where the container's body begins.
    @exclusivity(unchecked) var directories: [Int: [String: Int]] = [:]
    /// Where the parts of containers are in which somebody asked for the path to a part far from the first, by where the container's parts begin.
    @exclusivity(unchecked) var places: [Int: WirePlaces] = [:]
    /// Keeps recursion in bounds.
    @exclusivity(unchecked) var stack = StackGuard()

    /// What the caller passes through to user code.
    let userInfo: [CodingUserInfoKey: Any]
    /// The keys that lead to the message itself, where it is a part of another.
    let pathPrefix: [any CodingKey]
    /// The message, where it was made for this decoder.
    private let owner: OwnedMessage?

    /// Creates the state that reads where `message` stands.
    init(message: WireReader, userInfo: [CodingUserInfoKey: Any]) {
        self.message = message
        self.userInfo = userInfo
        pathPrefix = []
        owner = nil
        frames.reserveCapacity(8)
        hints.reserveCapacity(8)
    }

    /// Creates a state that reads a message of its own instead of a part of that of `other`.
    init(owner: OwnedMessage, in other: DecodingState, path: [any CodingKey]) {
        message = owner.reader
        userInfo = other.userInfo
        stack = other.stack
        pathPrefix = path
        self.owner = owner
    }

    /// Lets go of the message.
    func finish() {
        message = WireReader(message, from: message.offset, to: message.offset)
    }

    // MARK: - Places

    /// Returns a reader of a part of the message; one of null when the part is empty, since every value has a byte.
    @inline(__always)
    func reader(from start: Int, to end: Int) throws -> WireReader {
        guard end <= message.end, message.offset < message.end else { throw invalidUse() }
        return start == end ? .null : WireReader(message, from: start, to: end)
    }

    /// Makes the error of a container that was kept for longer than its message.
    @inline(never)
    private func invalidUse() -> any Error {
        WireCodingError(.invalidUse, "a container is read after its value was decoded")
    }

    // MARK: - Values

    /// Reads a value by its plan, or by its own Codable when it has none.
    @inline(__always)
    func decode<Value: Decodable>(_ type: Value.Type, from reader: inout WireReader) throws -> Value {
        if let plan = PlanTable.plan(for: type) {
            return try plan.with(type) { try $0.decode(from: &reader, state: self) }
        }
        return try decodeByItself(type, from: &reader)
    }

    /// Reads a value by its own Codable.
    func decodeByItself<Value: Decodable>(_ type: Value.Type, from reader: inout WireReader) throws -> Value {
        try stack.enter()
        defer { stack.leave() }
        // What was never written is read as null, which is not in the message.
        guard reader.base == message.base else {
            try reader.skipValue()
            return try Value(from: WireDecoder(state: self, start: message.offset, end: message.offset))
        }
        let start = reader.offset
        try reader.skipValue()
        return try Value(from: WireDecoder(state: self, start: start, end: reader.offset))
    }

    /// Calls `read` for the value where `reader` stands, which is at `component` of the container that begins at `container`.
    @inline(__always)
    func within<Value>(
        _ component: WireComponent,
        of container: Int,
        _ reader: inout WireReader,
        _ read: (inout WireReader) throws -> Value
    ) throws -> Value {
        if reader.base == message.base {
            let frame = DecodingFrame(start: reader.offset, end: reader.end, container: container, component: component)
            frames.append(frame)
        } else {
            frames.append(DecodingFrame(start: container, end: message.end, container: container, component: component))
        }
        defer { frames.removeLast() }

        do {
            return try read(&reader)
        } catch {
            throw described(error)
        }
    }
}
