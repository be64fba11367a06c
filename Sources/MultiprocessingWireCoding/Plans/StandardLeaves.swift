// SPDX-License-Identifier: Apache-2.0
//
// The standard types that the format knows. Spelled out type by type, so that each has witnesses compiled for it.

/// What all integers have in common.
protocol WireInteger: WireNumber, FixedWidthInteger {}

extension WireInteger {
    @inline(__always)
    func write(into writer: inout WireWriter) { writer.writeInteger(self) }

    @inline(__always)
    static func read(from reader: inout WireReader) throws -> Self { try reader.readInteger() }
}

extension Int: WireInteger {
    static var packedKind: PackedKind { .int64 }
}

extension Int8: WireInteger {
    static var packedKind: PackedKind { .int8 }
}

extension Int16: WireInteger {
    static var packedKind: PackedKind { .int16 }
}

extension Int32: WireInteger {
    static var packedKind: PackedKind { .int32 }
}

extension Int64: WireInteger {
    static var packedKind: PackedKind { .int64 }
}

extension Int128: WireInteger {
    static var packedKind: PackedKind { .int128 }
}

extension UInt: WireInteger {
    static var packedKind: PackedKind { .uint64 }
}

extension UInt8: WireInteger {
    static var packedKind: PackedKind { .uint8 }
}

extension UInt16: WireInteger {
    static var packedKind: PackedKind { .uint16 }
}

extension UInt32: WireInteger {
    static var packedKind: PackedKind { .uint32 }
}

extension UInt64: WireInteger {
    static var packedKind: PackedKind { .uint64 }
}

extension UInt128: WireInteger {
    static var packedKind: PackedKind { .uint128 }
}

extension Float: WireNumber {
    static var packedKind: PackedKind { .float }

    @inline(__always)
    func write(into writer: inout WireWriter) { writer.writeTagged(WireTag.float, bitPattern) }

    @inline(__always)
    static func read(from reader: inout WireReader) throws -> Float {
        if reader.remaining > MemoryLayout<Float>.size, try reader.peekTag() == WireTag.float {
            reader.offset &+= 1
            return Float(bitPattern: try reader.read(UInt32.self))
        }
        return try reader.readFloatingPoint()
    }
}

extension Double: WireNumber {
    static var packedKind: PackedKind { .double }

    @inline(__always)
    func write(into writer: inout WireWriter) { writer.writeTagged(WireTag.double, bitPattern) }

    @inline(__always)
    static func read(from reader: inout WireReader) throws -> Double {
        if reader.remaining > MemoryLayout<Double>.size, try reader.peekTag() == WireTag.double {
            reader.offset &+= 1
            return Double(bitPattern: try reader.read(UInt64.self))
        }
        return try reader.readFloatingPoint()
    }
}

extension Bool: WireNumber {
    static var packedKind: PackedKind { .bool }

    /// Any byte but 0 and 1 is undefined behaviour as a Boolean.
    static func areValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var all: UInt8 = 0
        for byte in bytes { all |= byte }
        return all <= 1
    }

    @inline(__always)
    func write(into writer: inout WireWriter) { writer.writeTag(self ? WireTag.yes : WireTag.no) }

    @inline(__always)
    static func read(from reader: inout WireReader) throws -> Bool { try reader.readBoolean() }

    static func readElement(_ bytes: UnsafeRawPointer, _ kind: PackedKind) -> Bool? {
        let byte = bytes.load(as: UInt8.self)
        return kind == .bool && byte <= 1 ? byte == 1 : nil
    }
}

extension String: WireLeaf {
    @inline(__always)
    func write(into writer: inout WireWriter) { writer.writeStringValue(self) }

    var bound: Int { 1 + WireLayout.varintBound + utf8.count }

    @inline(__always)
    static func read(from reader: inout WireReader) throws -> String { try reader.readStringValue() }
}
