// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// How handles that consist of several descriptors travel: as a list of the numbers that stand for them.
enum ChannelHandle {
    /// Encodes descriptors that `owner` keeps open.
    ///
    /// - Parameter flags: What else there is to know.
    /// - Throws: `HandleNotPortable` when the encoder carries no descriptors.
    static func encode(
        _ descriptors: [Int32],
        flags: UInt32 = 0,
        owner: AnyObject,
        type: Any.Type,
        to encoder: any Encoder
    ) throws {
        let indices = try descriptors.map { try HandleMemory.index(of: $0, owner: owner, type: type, in: encoder) }
        var container = encoder.singleValueContainer()
        try container.encode([flags] + indices)
    }

    /// Takes the `count` descriptors of a handle.
    ///
    /// - Throws: `HandleNotPortable` when the decoder carries no descriptors, `DecodingError` when there are not as many.
    static func decode(_ count: Int, type: Any.Type, from decoder: any Decoder) throws -> ReceivedDescriptors {
        guard let carried = decoder.userInfo[CarriedDescriptors.userInfoKey] as? CarriedDescriptors else {
            throw HandleNotPortable(type, "cannot be read by this decoder")
        }
        let container = try decoder.singleValueContainer()
        let numbers = try container.decode([UInt32].self)
        var received = ReceivedDescriptors(
            numbers.dropFirst().compactMap { carried.take(Int($0)) },
            flags: numbers.first ?? 0
        )
        guard received.count == count else {
            received.closeAll()
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "no descriptors for \(type)")
        }
        return received
    }
}

/// Descriptors that were received and go to their owners one after another; the rest is closed.
struct ReceivedDescriptors: ~Copyable {
    private var numbers: [Int32]

    /// What else was sent.
    let flags: UInt32

    init(_ numbers: [Int32], flags: UInt32) {
        self.numbers = numbers
        self.flags = flags
    }

    /// How many are left.
    var count: Int { numbers.count }

    /// The next one, which is the caller's then.
    mutating func next() throws(SystemError) -> OwnedDescriptor {
        guard !numbers.isEmpty else { throw SystemError(code: EBADMSG, operation: "receiving descriptors") }
        return OwnedDescriptor(owning: numbers.removeFirst())
    }

    /// Closes those that are left.
    mutating func closeAll() {
        for number in numbers { close(number) }
        numbers = []
    }

    deinit {
        for number in numbers { close(number) }
    }
}
