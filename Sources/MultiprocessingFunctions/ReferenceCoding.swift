// SPDX-License-Identifier: Apache-2.0
//
// A pointer into an image, as bytes:
//
//   1 byte    0: the program itself; 1: another image, whose 8-byte identity follows
//   varint    offset from the image's base
//   4 bytes   check: the low half of a hash over the build, the role and all references before this one
//
// The check is what keeps a damaged message from becoming a jump: a reference that was changed, left out, or taken from another message fails it.

internal import MultiprocessingWireCoding

/// What a reference must point to.
enum ReferenceRole: UInt64 {
    /// Code, or the descriptor of an asynchronous function, which lies among the constants.
    case function = 1
    /// A constant: metadata, a type descriptor, a witness table.
    case constant = 2
}

/// Writes references, each bound to those before it.
struct ReferenceWriter {
    private var hash = ReferenceHash()

    /// Starts a chain for this build.
    init() {
        hash.mix(Images.build)
    }

    /// Makes everything after this depend on `number` as well.
    mutating func bind(_ number: UInt64) {
        hash.mix(number)
    }

    /// Writes a check of all that was written so far.
    func writeCheck(into writer: inout WireWriter) {
        writer.write(UInt32(truncatingIfNeeded: hash.value))
    }

    /// Writes a byte that says what follows, and makes everything after depend on it: the same reference means something else in another place.
    mutating func write(tag: UInt8, into writer: inout WireWriter) {
        bind(UInt64(tag))
        writer.write(tag)
    }

    /// Writes a number that everything after depends on.
    mutating func write(count: Int, into writer: inout WireWriter) {
        bind(UInt64(count))
        writer.writeVarint(UInt64(count))
    }

    /// Writes the place of `address`.
    ///
    /// - Throws: `FunctionNotPortable` when it lies in no image, as code made at run time does.
    mutating func write(_ address: UInt, as role: ReferenceRole, into writer: inout WireWriter) throws {
        guard let image = Images.image(containing: address) else {
            throw FunctionNotPortable(
                .imageUnknown,
                "the address 0x\(String(address, radix: 16)) lies in no library or executable, so no other process can find it"
            )
        }
        let isExecutable = image.identity == Images.build
        let offset = UInt64(address - image.base)
        writer.write(isExecutable ? UInt8(0) : 1)
        if !isExecutable { writer.write(image.identity) }
        writer.writeVarint(offset)
        hash.mix(role.rawValue)
        hash.mix(image.identity)
        hash.mix(offset)
        writer.write(UInt32(truncatingIfNeeded: hash.value))
    }
}

/// Reads what a `ReferenceWriter` wrote.
struct ReferenceReader {
    private var hash = ReferenceHash()

    /// Starts a chain for this build.
    init() {
        hash.mix(Images.build)
    }

    /// Makes everything after this depend on `number` as well.
    mutating func bind(_ number: UInt64) {
        hash.mix(number)
    }

    /// Reads a check of all that was read so far.
    ///
    /// - Throws: `FunctionNotPortable` when something else was written.
    func readCheck(from reader: inout WireReader) throws {
        guard try reader.read(UInt32.self) == UInt32(truncatingIfNeeded: hash.value) else {
            throw FunctionNotPortable.corrupt("a function fails its check")
        }
    }

    /// Reads a byte that says what follows.
    mutating func readTag(from reader: inout WireReader) throws -> UInt8 {
        let tag: UInt8 = try reader.read()
        bind(UInt64(tag))
        return tag
    }

    /// Reads a number that everything after depends on.
    mutating func readCount(from reader: inout WireReader) throws -> UInt64 {
        let count = try reader.readVarint()
        bind(count)
        return count
    }

    /// Reads a reference and returns the address it stands for in this process.
    ///
    /// - Throws: `FunctionNotPortable` for anything that the writer did not write in this place.
    mutating func read(as role: ReferenceRole, from reader: inout WireReader) throws -> UInt {
        let kind = try reader.read(UInt8.self)
        guard kind <= 1 else { throw FunctionNotPortable.corrupt("unknown kind of reference") }
        let identity = kind == 0 ? Images.build : try reader.read(UInt64.self)
        let offset = try reader.readVarint()
        hash.mix(role.rawValue)
        hash.mix(identity)
        hash.mix(offset)
        guard try reader.read(UInt32.self) == UInt32(truncatingIfNeeded: hash.value) else {
            throw FunctionNotPortable.corrupt("a reference fails its check")
        }
        guard let image = Images.image(withIdentity: identity) else {
            throw FunctionNotPortable(.imageUnknown, "the function lies in a library that this process has not loaded")
        }
        let address = image.base &+ UInt(truncatingIfNeeded: offset)
        guard image.range.contains(address), role == .function || !image.code.contains(address) else {
            throw FunctionNotPortable.corrupt("a reference leaves its image")
        }
        return address
    }
}
