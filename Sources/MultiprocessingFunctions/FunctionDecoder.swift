// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import MultiprocessingWireCoding

/// Rebuilds function values from bytes; `FunctionEncoder` tells the format.
struct FunctionDecoder {
    private var references: ReferenceReader
    private let userInfo: [CodingUserInfoKey: Any]
    private var depth = 0

    /// Creates a decoder that goes on with the chain of `references`.
    init(references: ReferenceReader, userInfo: [CodingUserInfoKey: Any]) {
        self.references = references
        self.userInfo = userInfo
    }

    /// Reads a function. The caller owns the reference to its context.
    ///
    /// - Throws: `FunctionNotPortable` for damaged bytes, and what decoding the captures throws.
    mutating func decode(from reader: inout WireReader) throws -> FunctionWords {
        guard depth < maximumFunctionDepth else { throw FunctionNotPortable.corrupt("functions nest too deep") }
        depth += 1
        defer { depth -= 1 }
        let code = try references.read(as: .function, from: &reader)
        guard let kind = ContextKind(rawValue: try references.readTag(from: &reader)) else {
            throw FunctionNotPortable.corrupt("unknown kind of context")
        }
        switch kind {
        case .none:
            // Nothing follows that would notice a context that was left out.
            try references.readCheck(from: &reader)
            return FunctionWords(code: code, context: 0)
        case .box: return FunctionWords(code: code, context: try decodeBox(from: &reader))
        default: return FunctionWords(code: code, context: try decodeObject(kind, from: &reader))
        }
    }

    private mutating func decodeObject(_ kind: ContextKind, from reader: inout WireReader) throws -> UInt {
        switch kind {
        case .object: return Self.retained(try decodeObject(from: &reader))
        case .collection: return try decodeCollection(from: &reader)
        case .constant: return try decodeConstant(from: &reader)
        case .references: return try decodeReferences(from: &reader)
        case .none, .box: throw FunctionNotPortable.corrupt("an object is expected")
        }
    }

    // MARK: - Boxes

    private mutating func decodeBox(from reader: inout WireReader) throws -> UInt {
        guard let metadata = UnsafeRawPointer(bitPattern: try references.read(as: .constant, from: &reader)),
            metadata.load(as: UInt.self) == ClosureContext.boxKind
        else { throw FunctionNotPortable.corrupt("a reference is to no closure") }

        guard let context = ClosureContext(metadata: metadata) else {
            throw FunctionNotPortable.corrupt("a closure has no description")
        }
        var bindings: [UInt] = []
        for _ in 0..<context.bindingCount { bindings.append(try decodeBinding(after: bindings, from: &reader)) }
        var environment = context.environment { index in
            guard bindings.indices.contains(index), let word = UnsafeRawPointer(bitPattern: bindings[index]),
                Binding(word).isType
            else { return nil }
            return unsafeBitCast(word, to: Any.Type.self)  // metadata is what a metatype points to
        }
        for source in context.objectSources {
            guard try references.readTag(from: &reader) == 1 else { continue }
            environment.set(source.parameter, to: try references.readType(from: &reader))
        }

        let captures = context.captures(in: environment)
        var contents = BoxContents(bindingCount: context.bindingCount, captures: captures)
        defer { contents.discard() }
        for (index, word) in bindings.enumerated() { contents.storeBinding(word, at: index) }
        for capture in captures {
            let place = contents.place(size: capture.layout.size, alignment: capture.layout.alignment)
            switch capture {
            case .value(let type): try decodeCapture(type, at: place, of: &contents, from: &reader)
            case .function(let optionals):
                try decodeFunction(at: place, optionals: optionals, of: &contents, from: &reader)
            case .type(let known):
                let type = try references.readType(from: &reader)
                guard type == known else { throw FunctionNotPortable.corrupt("a captured type is another") }
                // A metatype is a pointer to its metadata.
                contents.initializeWords(place, to: [unsafeBitCast(type, to: UInt.self)])
            case .refused(let error): throw error
            }
        }
        return contents.intoBox(metadata: metadata)
    }

    private mutating func decodeBinding(after earlier: [UInt], from reader: inout WireReader) throws -> UInt {
        switch try references.readTag(from: &reader) {
        case 0:
            let type = try references.readType(from: &reader)
            // A metatype is a pointer to its metadata.
            return UInt(bitPattern: unsafeBitCast(type, to: UnsafeRawPointer.self))
        case 1: return try references.read(as: .constant, from: &reader)
        case 2:
            let target = UnsafeRawPointer(bitPattern: try references.read(as: .constant, from: &reader))
            let index = try references.readCount(from: &reader)
            let types = earlier.compactMap { UnsafeRawPointer(bitPattern: $0) }.filter { Binding($0).isType }
            guard index < types.count, let table = mp_swift_conformsToProtocol(types[Int(index)], target) else {
                throw FunctionNotPortable.corrupt("a generic argument does not conform")
            }
            return UInt(bitPattern: table)
        default: throw FunctionNotPortable.corrupt("unknown kind of generic argument")
        }
    }

    // MARK: - Captures

    private mutating func decodeCapture(
        _ type: Any.Type,
        at place: UnsafeMutableRawPointer,
        of contents: inout BoxContents,
        from reader: inout WireReader
    ) throws {
        if type is AnyClass {
            let object = try decodeObject(from: &reader)
            guard Self.isObject(object, of: type) else {
                throw FunctionNotPortable.corrupt("a captured object is of another class")
            }
            contents.initialize(place, to: object)
        } else if let codable = type as? any Codable.Type {
            try decodeValue(codable, at: place, of: &contents, from: &reader)
        } else {
            switch StructuralType(type) {
            case .tuple(let elements):
                for element in elements {
                    try decodeCapture(element.type, at: place + element.offset, of: &contents, from: &reader)
                }
            case .function: try decodeFunction(at: place, of: &contents, from: &reader)
            case .metatype: try decodeMetatype(type, at: place, of: &contents, from: &reader)
            case .empty: break
            case nil: throw FunctionNotPortable.corrupt("a capture is not Codable")
            }
        }
    }

    private func decodeValue<T: Codable>(
        _: T.Type,
        at place: UnsafeMutableRawPointer,
        of contents: inout BoxContents,
        from reader: inout WireReader
    ) throws {
        contents.initialize(place, to: try WireCoding.decode(T.self, from: &reader, userInfo: userInfo))
    }

    /// Reads a type, as what the capture is known as: that may have witnesses beside it, which the runtime fills in.
    private mutating func decodeMetatype(
        _ known: Any.Type,
        at place: UnsafeMutableRawPointer,
        of contents: inout BoxContents,
        from reader: inout WireReader
    ) throws {
        let type: Any = try references.readType(from: &reader)
        func open<Known>(_: Known.Type) throws {
            guard let type = type as? Known else { throw FunctionNotPortable.corrupt("a captured type is another") }
            contents.initialize(place, to: type)
        }
        try open(known)
    }

    private mutating func decodeFunction(
        at place: UnsafeMutableRawPointer,
        optionals: Int = 0,
        of contents: inout BoxContents,
        from reader: inout WireReader
    ) throws {
        if optionals > 0 {
            let tag = try references.readTag(from: &reader)
            if tag < optionals {
                try references.readCheck(from: &reader)
                return contents.initializeWords(place, to: [UInt(tag), 0])
            }
            guard tag == OptionalFunction.some else { throw FunctionNotPortable.corrupt("unknown optional") }
        }
        contents.initializeFunction(place, to: try decode(from: &reader))
    }

    private static func isObject(_ object: AnyObject, of type: Any.Type) -> Bool {
        func open<T>(_: T.Type) -> Bool { object is T }
        return open(type)
    }

    // MARK: - Objects in place of a box

    private mutating func decodeObject(from reader: inout WireReader) throws -> AnyObject {
        guard let type = try references.readType(from: &reader) as? any (Codable & AnyObject).Type else {
            throw FunctionNotPortable.corrupt("a captured object is of no class that is Codable")
        }
        func open<T: Codable & AnyObject>(_: T.Type) throws -> AnyObject {
            try WireCoding.decode(T.self, from: &reader, userInfo: userInfo)
        }
        return try open(type)
    }

    private mutating func decodeCollection(from reader: inout WireReader) throws -> UInt {
        let type = try references.readType(from: &reader)
        guard CollectionStorage.isCollection(type), let codable = type as? any Codable.Type else {
            throw FunctionNotPortable.corrupt("a captured collection is of another type")
        }
        func open<T: Codable>(_: T.Type) throws -> UInt {
            let collection = try WireCoding.decode(T.self, from: &reader, userInfo: userInfo)
            // An array, set or dictionary is one pointer to its storage object.
            return Self.retained(unsafeBitCast(collection, to: AnyObject.self))
        }
        return try open(codable)
    }

    private mutating func decodeConstant(from reader: inout WireReader) throws -> UInt {
        let address = try references.read(as: .constant, from: &reader)
        guard let object = UnsafeRawPointer(bitPattern: address), object.load(as: UInt.self) != 0 else {
            throw FunctionNotPortable.corrupt("a constant is not initialised in this process")
        }
        return Self.retained(Unmanaged<AnyObject>.fromOpaque(object).takeUnretainedValue())
    }

    private mutating func decodeReferences(from reader: inout WireReader) throws -> UInt {
        guard depth < maximumFunctionDepth else { throw FunctionNotPortable.corrupt("arrays nest too deep") }
        depth += 1
        defer { depth -= 1 }
        let count = try references.readCount(from: &reader)
        var objects: [AnyObject] = []
        // Not reserved: the number is only as good as the bytes.
        for _ in 0..<count {
            guard let kind = ContextKind(rawValue: try references.readTag(from: &reader)) else {
                throw FunctionNotPortable.corrupt("unknown kind of object")
            }
            guard let object = UnsafeRawPointer(bitPattern: try decodeObject(kind, from: &reader)) else { continue }
            objects.append(Unmanaged<AnyObject>.fromOpaque(object).takeRetainedValue())
        }
        return Self.retained(unsafeBitCast(objects, to: AnyObject.self))  // an array is one pointer to its storage
    }

    private static func retained(_ object: AnyObject) -> UInt {
        UInt(bitPattern: Unmanaged.passRetained(object).toOpaque())
    }
}
