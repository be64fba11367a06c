// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// How handles that consist of several descriptors travel: as a list of flags, the number of descriptors, the numbers that stand for them, and whatever else there is to know.
enum ChannelHandle {
    /// Encodes descriptors that `owners` keep open.
    ///
    /// - Parameters:
    ///   - flags: What else there is to know.
    ///   - extra: More of that.
    /// - Throws: `HandleNotPortable` when the encoder carries no descriptors.
    static func encode(
        _ descriptors: [Int32],
        flags: UInt32 = 0,
        extra: [UInt32] = [],
        owners: [AnyObject],
        type: Any.Type,
        to encoder: any Encoder
    ) throws {
        let owner = Owners(all: owners)
        let indices = try descriptors.map { try HandleMemory.index(of: $0, owner: owner, type: type, in: encoder) }
        var container = encoder.singleValueContainer()
        try container.encode([flags, UInt32(indices.count)] + indices + extra)
    }

    /// Keeps the descriptors of a handle open while it is under way.
    private final class Owners {
        private let all: [AnyObject]

        init(all: [AnyObject]) {
            self.all = all
        }
    }

    /// Reads a handle, whose descriptors are still to be taken.
    ///
    /// - Throws: `HandleNotPortable` when the decoder carries no descriptors, `DecodingError` when it is no handle.
    static func decode(type: Any.Type, from decoder: any Decoder) throws -> ReceivedHandle {
        guard let carried = decoder.userInfo[CarriedDescriptors.userInfoKey] as? CarriedDescriptors else {
            throw HandleNotPortable(type, "cannot be read by this decoder")
        }
        let container = try decoder.singleValueContainer()
        let numbers = try container.decode([UInt32].self)
        guard numbers.count >= 2, Int(numbers[1]) <= numbers.count - 2 else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "this is no \(type)")
        }
        let indices = numbers[2..<2 + Int(numbers[1])]
        return ReceivedHandle(
            flags: numbers[0],
            extra: Array(numbers[indices.endIndex...]),
            indices: Array(indices),
            carried: carried,
            type: "\(type)",
            path: container.codingPath
        )
    }
}

/// A handle that was received.
struct ReceivedHandle {
    /// What else was sent.
    let flags: UInt32
    /// More of that.
    let extra: [UInt32]

    fileprivate let indices: [UInt32]
    fileprivate let carried: CarriedDescriptors
    fileprivate let type: String
    fileprivate let path: [any CodingKey]

    /// Takes the descriptors, which have to be `count`.
    ///
    /// - Throws: `DecodingError` when there are not as many.
    func descriptors(_ count: Int) throws -> ReceivedDescriptors {
        var received = ReceivedDescriptors(indices.compactMap { carried.take(Int($0)) })
        guard received.count == count else {
            received.closeAll()
            let context = DecodingError.Context(codingPath: path, debugDescription: "no descriptors for \(type)")
            throw DecodingError.dataCorrupted(context)
        }
        return received
    }
}

/// Descriptors that were received and go to their owners one after another; the rest is closed.
struct ReceivedDescriptors: ~Copyable {
    private var numbers: [Int32]

    init(_ numbers: [Int32]) {
        self.numbers = numbers
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
