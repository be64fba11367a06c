// SPDX-License-Identifier: Apache-2.0
//
// What each end of a stream connection says first. 64 bytes, little-endian:
//
//   offset   size
//        0      8   "mpconn", 0, version
//        8      1   role: 1 listener, 2 connector
//        9      1   bit 0: it has a key; bit 1: it takes descriptors
//       10      6   0
//       16      8   identity of the program's build
//       24      8   the largest message that it receives, in bytes
//       32     32   random bytes

/// What one end of a connection says of itself.
package struct Greeting: Hashable, Sendable {
    /// Which end it is.
    package enum Role: UInt8, Sendable {
        case listener = 1
        case connector = 2
    }

    /// The bytes of a greeting.
    package static let size = 64
    /// What it begins with.
    package static let magic: [UInt8] = Array("mpconn".utf8) + [0, 1]

    /// Which end says it.
    package var role: Role
    /// Whether it has a key.
    package var hasKey: Bool
    /// Whether it takes descriptors.
    package var carriesDescriptors: Bool
    /// The identity of its program's build.
    package var build: UInt64
    /// The largest message that it receives, in bytes.
    package var messageLimit: UInt64
    /// Random bytes.
    package var nonce: [UInt8]

    /// The bytes to send.
    package var bytes: [UInt8] {
        var bytes = Self.magic
        bytes.append(role.rawValue)
        bytes.append((hasKey ? 1 : 0) | (carriesDescriptors ? 2 : 0))
        bytes += [UInt8](repeating: 0, count: 6)
        for number in [build, messageLimit] {
            for shift in stride(from: 0, to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: number >> shift)) }
        }
        return bytes + nonce
    }

    /// Creates a greeting.
    package init(role: Role, hasKey: Bool, carriesDescriptors: Bool, build: UInt64, messageLimit: Int, nonce: [UInt8]) {
        self.role = role
        self.hasKey = hasKey
        self.carriesDescriptors = carriesDescriptors
        self.build = build
        self.messageLimit = UInt64(max(0, messageLimit))
        self.nonce = nonce
    }

    /// Reads what came; nil when it is no greeting.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count == Self.size, Array(bytes[..<8]) == Self.magic, let role = Role(rawValue: bytes[8]),
            bytes[9] & ~3 == 0, bytes[10..<16].allSatisfy({ $0 == 0 })
        else { return nil }
        func number(_ offset: Int) -> UInt64 {
            bytes[offset..<offset + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        self.role = role
        hasKey = bytes[9] & 1 != 0
        carriesDescriptors = bytes[9] & 2 != 0
        build = number(16)
        messageLimit = number(24)
        nonce = Array(bytes[32...])
    }
}
