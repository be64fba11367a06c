// SPDX-License-Identifier: Apache-2.0
//
// Types, as bytes:
//
//   tag 0   the mangled name, as a string: for tuples, functions, existentials and whatever is generic over packs
//   tag 1   a nominal type: reference to its descriptor, count and list of type arguments, then for each witness table the reference to its
//           protocol and the index of the argument that conforms to it
//
// Descriptors rather than names, because a name cannot say which private or function-local type is meant, and because asking a descriptor for its type is a call where
// finding a name is a search through every image.

internal import CMultiprocessing
internal import MultiprocessingWireCoding

/// How deep type arguments may nest; more is a damaged message.
private let maximumTypeDepth = 64

extension ReferenceWriter {
    /// Writes `type` so that another process of this build finds it.
    ///
    /// - Throws: `FunctionNotPortable` naming the type when it can be found neither by descriptor nor by name.
    mutating func write(_ type: Any.Type, into writer: inout WireWriter) throws {
        guard let nominal = NominalType(type) else { return try writeName(of: type, into: &writer) }
        // Which conformances the arguments bring must be told as (protocol, argument); where that cannot be found out, only the name is left.
        var conformances: [(protocol: UInt, argument: Int)] = []
        for table in nominal.witnessTables {
            guard let conformance = Self.conformance(of: table, among: nominal.typeArguments) else {
                return try writeName(of: type, into: &writer)
            }
            conformances.append(conformance)
        }
        write(tag: 1, into: &writer)
        try write(UInt(bitPattern: nominal.descriptor), as: .constant, into: &writer)
        write(count: nominal.typeArguments.count, into: &writer)
        for argument in nominal.typeArguments {
            // Metadata is what a metatype points to.
            try write(unsafeBitCast(argument, to: Any.Type.self), into: &writer)
        }
        for conformance in conformances {
            try write(conformance.protocol, as: .constant, into: &writer)
            write(count: conformance.argument, into: &writer)
        }
    }

    private mutating func writeName(of type: Any.Type, into writer: inout WireWriter) throws {
        guard let name = _mangledTypeName(type), _typeByName(name) == type else {
            throw FunctionNotPortable(
                .typeNotNameable,
                type: "\(type)",
                "the type \(type) has no name that another process could find it by; declare it outside functions and not private"
            )
        }
        write(tag: 0, into: &writer)
        writer.writeString(name)
        for byte in name.utf8 { bind(UInt64(byte)) }
    }

    /// Finds which protocol `table` is about and which of `arguments` it belongs to.
    static func conformance(
        of table: UnsafeRawPointer,
        among arguments: [UnsafeRawPointer]
    ) -> (protocol: UInt, argument: Int)? {
        // A witness table starts with its conformance descriptor, and that with a relative pointer to the protocol (bit 0: to a pointer to it).
        guard let descriptor = table.load(as: UnsafeRawPointer?.self) else { return nil }
        let relative = Int(descriptor.load(as: Int32.self))
        var target = descriptor + (relative & ~1)
        if relative & 1 != 0 {
            guard let indirect = target.load(as: UnsafeRawPointer?.self) else { return nil }
            target = indirect
        }
        for (index, argument) in arguments.enumerated() {
            guard let found = mp_swift_conformsToProtocol(argument, target) else { continue }
            // The same conformance may have several instances of its table.
            if found == table || found.load(as: UnsafeRawPointer?.self) == descriptor {
                return (UInt(bitPattern: target), index)
            }
        }
        return nil
    }
}

extension ReferenceReader {
    /// Reads a type.
    ///
    /// - Throws: `FunctionNotPortable` when the bytes name no type of this program.
    mutating func readType(from reader: inout WireReader, depth: Int = 0) throws -> Any.Type {
        guard depth < maximumTypeDepth else { throw FunctionNotPortable.corrupt("types nest too deep") }
        switch try readTag(from: &reader) {
        case 0:
            let name = try reader.readString()
            for byte in name.utf8 { bind(UInt64(byte)) }
            guard let type = _typeByName(name) else {
                throw FunctionNotPortable.corrupt("no type has the name \(name)")
            }
            return type
        case 1:
            return try readNominal(from: &reader, depth: depth)
        default:
            throw FunctionNotPortable.corrupt("unknown kind of type")
        }
    }

    private mutating func readNominal(from reader: inout WireReader, depth: Int) throws -> Any.Type {
        let address = try read(as: .constant, from: &reader)
        guard let descriptor = UnsafeRawPointer(bitPattern: address),
            let accessor = NominalType.accessor(of: descriptor),
            let function = UnsafeRawPointer(bitPattern: accessor.address)
        else { throw FunctionNotPortable.corrupt("a reference is to no type") }

        let count = try readCount(from: &reader)
        guard count <= UInt64(accessor.keyArguments) else {
            throw FunctionNotPortable.corrupt("wrong number of type arguments")
        }
        var arguments: [UnsafeRawPointer?] = []
        for _ in 0..<count {
            let argument = try readType(from: &reader, depth: depth + 1)
            // A metatype is a pointer to its metadata.
            arguments.append(unsafeBitCast(argument, to: UnsafeRawPointer.self))
        }
        for _ in Int(count)..<accessor.keyArguments {
            let target = UnsafeRawPointer(bitPattern: try read(as: .constant, from: &reader))
            let index = try readCount(from: &reader)
            guard index < count, let table = mp_swift_conformsToProtocol(arguments[Int(index)], target) else {
                throw FunctionNotPortable.corrupt("a type argument does not conform")
            }
            arguments.append(table)
        }
        let metadata = arguments.withUnsafeBufferPointer {
            mp_call_metadata_accessor(function, $0.baseAddress, $0.count)
        }
        guard let metadata else { throw FunctionNotPortable.corrupt("a type has no metadata") }
        // The accessor answers metadata, which is what a metatype points to.
        return unsafeBitCast(metadata, to: Any.Type.self)
    }
}
