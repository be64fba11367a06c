// SPDX-License-Identifier: Apache-2.0
//
// A result as it travels where bytes can be lost, cut, or mixed up on the way, for engines that do not share memory with their workers:
//
//   offset   size
//        0      4   0x4652504d ("MPRF")
//        4      4   checksum of everything behind it
//        8      8   epoch: the session that asked
//       16      8   ticket: the attempt
//       24      8   nanoseconds that it took
//       32      4   the element that it is about, or 0xffffffff for the whole attempt
//       36      1   1 if it is an error
//       37      …   the bytes, up to the end
//
// The checksum is FNV-1a of 32 bits: against accidents, not against malice, for which the connection is authenticated.

internal import MultiprocessingWireCoding

/// A result that is checked before anybody believes it.
struct ResultFrame: Equatable {
    private static let magic: UInt32 = 0x4652_504d
    private static let headSize = 37

    var epoch: UInt64
    var ticket: UInt64
    var nanoseconds: Int64
    /// The element that it is about; nil for the whole attempt.
    var element: Int?
    var threw: Bool
    var bytes: [UInt8]

    /// Why a frame is not believed.
    struct Damaged: Error, CustomStringConvertible {
        let description: String
    }

    /// The frame as bytes.
    var encoded: [UInt8] {
        var body = WireWriter(capacity: Self.headSize + bytes.count)
        body.write(epoch)
        body.write(ticket)
        body.write(nanoseconds)
        body.write(element.map { UInt32(truncatingIfNeeded: $0) } ?? .max)
        body.write(UInt8(threw ? 1 : 0))
        bytes.withUnsafeBytes { body.writeBytes($0) }
        var frame = WireWriter(capacity: 8 + body.count)
        frame.write(Self.magic)
        frame.write(body.withUnsafeBytes { Self.checksum($0) })
        body.withUnsafeBytes { frame.writeBytes($0) }
        return frame.withUnsafeBytes { Array($0) }
    }

    /// Reads a frame that answers something asked in `epoch`.
    ///
    /// - Throws: `Damaged` for one that is cut short, damaged, or meant for somebody else.
    init(_ encoded: [UInt8], epoch expected: UInt64) throws {
        guard encoded.count >= Self.headSize else {
            throw Damaged(description: "a result of \(encoded.count) bytes is cut short")
        }
        self = try encoded.withUnsafeBytes { frame throws -> ResultFrame in
            var reader = WireReader(frame)
            guard try reader.read(UInt32.self) == Self.magic else {
                throw Damaged(description: "what came is no result")
            }
            guard try reader.read(UInt32.self) == Self.checksum(UnsafeRawBufferPointer(rebasing: frame[8...])) else {
                throw Damaged(description: "a result was damaged on the way")
            }
            let epoch = try reader.read(UInt64.self)
            guard epoch == expected else { throw Damaged(description: "a result is from another session") }
            let ticket = try reader.read(UInt64.self)
            let nanoseconds = try reader.read(Int64.self)
            let element = try reader.read(UInt32.self)
            let threw = try reader.read(UInt8.self)
            return ResultFrame(
                epoch: epoch,
                ticket: ticket,
                nanoseconds: nanoseconds,
                element: element == .max ? nil : Int(element),
                threw: threw != 0,
                bytes: Array(try reader.readBytes(frame.count - Self.headSize))
            )
        }
    }

    /// Creates a frame.
    init(epoch: UInt64, ticket: UInt64, nanoseconds: Int64, element: Int?, threw: Bool, bytes: [UInt8]) {
        self.epoch = epoch
        self.ticket = ticket
        self.nanoseconds = nanoseconds
        self.element = element
        self.threw = threw
        self.bytes = bytes
    }

    private static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var sum: UInt32 = 2_166_136_261
        for byte in bytes { sum = (sum ^ UInt32(byte)) &* 16_777_619 }
        return sum
    }
}
