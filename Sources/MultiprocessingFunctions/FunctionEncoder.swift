// SPDX-License-Identifier: Apache-2.0
//
// A function value, as bytes:
//
//   reference to the code, then 1 byte for the context
//     0   nothing captured: a check of everything before
//     1   a box: reference to its metadata, the bindings, the types that only captured objects tell, the captures one after another
//     2   an object that is Codable: its type, its encoding
//     3   the storage of an array, set or dictionary: the collection's type, its encoding
//     4   an object among the constants of an image: reference
//     5   the storage of an array of references: their number, then each as one of 2 to 5
//   a binding is   0 + type,   1 + reference to a witness table,   or   2 + reference to a protocol + which of the types before it conforms to it
//   a type that an object tells is   0 where it does not,   or   1 + type
//   a capture is   the encoding of a value (of a class: dynamic type and encoding), the parts of a tuple, a type, or again a function value
//                  an optional function: 255 + function value,   or   the number that stands for nil in its first word, and a check of everything before

internal import MultiprocessingWireCoding

/// How deep functions may capture functions.
let maximumFunctionDepth = 64

/// The kinds of contexts on the wire.
enum ContextKind: UInt8 {
    case none
    case box
    case object
    case collection
    case constant
    case references
}

/// Turns function values into bytes.
struct FunctionEncoder {
    private var references: ReferenceWriter
    private let userInfo: [CodingUserInfoKey: Any]
    private var depth = 0

    /// Creates an encoder that goes on with the chain of `references`.
    init(references: ReferenceWriter, userInfo: [CodingUserInfoKey: Any]) {
        self.references = references
        self.userInfo = userInfo
    }

    /// Writes the function with those words; whatever holds the function must outlive the call.
    ///
    /// - Throws: `FunctionNotPortable` for what cannot be carried, naming the type and the cure.
    mutating func encode(_ words: FunctionWords, into writer: inout WireWriter) throws {
        guard depth < maximumFunctionDepth else {
            throw FunctionNotPortable(
                .captureNotCodable,
                "functions capture functions more than \(maximumFunctionDepth) deep"
            )
        }
        depth += 1
        defer { depth -= 1 }
        try references.write(words.code, as: .function, into: &writer)
        guard let context = UnsafeRawPointer(bitPattern: words.context) else {
            references.write(tag: ContextKind.none.rawValue, into: &writer)
            return references.writeCheck(into: &writer)
        }
        guard let metadata = context.load(as: UnsafeRawPointer?.self) else {
            throw FunctionNotPortable(.captureTypeUnknown, "the closure's context has no metadata")
        }
        switch metadata.load(as: UInt.self) {
        case ClosureContext.boxKind: try encodeBox(context, metadata: metadata, into: &writer)
        case 0: try encodeObject(context, into: &writer)
        case let kind: throw FunctionNotPortable.object(ofKind: kind)
        }
    }

    // MARK: - Boxes

    private mutating func encodeBox(
        _ box: UnsafeRawPointer,
        metadata: UnsafeRawPointer,
        into writer: inout WireWriter
    ) throws {
        guard let context = ClosureContext(metadata: metadata) else {
            throw FunctionNotPortable(
                .captureTypeUnknown,
                "the program says nothing of what the closure captures: it was compiled with -disable-reflection-metadata; pass values as arguments"
            )
        }
        references.write(tag: ContextKind.box.rawValue, into: &writer)
        try references.write(UInt(bitPattern: metadata), as: .constant, into: &writer)
        let bindings = (0..<context.bindingCount).map {
            box.load(fromByteOffset: 16 + $0 * 8, as: UnsafeRawPointer.self)
        }
        for (index, word) in bindings.enumerated() { try encodeBinding(word, after: bindings[..<index], into: &writer) }
        var environment = context.environment { index in
            guard bindings.indices.contains(index), Binding(bindings[index]).isType else { return nil }
            return unsafeBitCast(bindings[index], to: Any.Type.self)  // metadata is what a metatype points to
        }
        let fields = box + 16 + context.bindingCount * 8
        for source in context.objectSources {
            let type = CapturedObject.argument(source, of: context, in: environment, fields)
            references.write(tag: type == nil ? 0 : 1, into: &writer)
            guard let type else { continue }
            try references.write(type, into: &writer)
            environment.set(source.parameter, to: type)
        }
        var field = fields
        for capture in context.captures(in: environment) {
            let layout = capture.layout
            field = field.alignedUp(toMultipleOf: layout.alignment)
            try encodeCapture(capture, at: field, into: &writer)
            field += layout.size
        }
    }

    private mutating func encodeCapture(
        _ capture: ClosureContext.Capture,
        at field: UnsafeRawPointer,
        into writer: inout WireWriter
    ) throws {
        switch capture {
        case .value(let type): try encodeCapture(type, at: field, into: &writer)
        case .function(let optionals):
            let words = FunctionWords(at: field)
            if optionals > 0 {
                let isNil = words.code < optionals
                references.write(tag: isNil ? UInt8(words.code) : OptionalFunction.some, into: &writer)
                // Nothing follows that would notice another tag.
                if isNil { return references.writeCheck(into: &writer) }
            }
            try encode(words, into: &writer)
        case .type: try references.write(field.load(as: Any.Type.self), into: &writer)
        case .refused(let error): throw error
        }
    }

    private mutating func encodeBinding(
        _ word: UnsafeRawPointer,
        after earlier: ArraySlice<UnsafeRawPointer>,
        into writer: inout WireWriter
    ) throws {
        guard Binding.isPointer(word) else {
            throw FunctionNotPortable(
                .captureTypeUnknown,
                "the closure was made in code that is generic over a parameter pack, which cannot be carried; make it in other code, or pass values as arguments"
            )
        }
        let binding = Binding(word)
        if binding.isType {
            references.write(tag: 0, into: &writer)
            // Metadata is what a metatype points to.
            try references.write(unsafeBitCast(word, to: Any.Type.self), into: &writer)
        } else if Images.image(containing: UInt(bitPattern: word)) != nil {
            references.write(tag: 1, into: &writer)
            try references.write(UInt(bitPattern: word), as: .constant, into: &writer)
        } else if let conformance = ReferenceWriter.conformance(of: word, among: earlier.filter { Binding($0).isType })
        {
            // A witness table made at run time: told by what it is for.
            references.write(tag: 2, into: &writer)
            try references.write(conformance.protocol, as: .constant, into: &writer)
            references.write(count: conformance.argument, into: &writer)
        } else {
            throw FunctionNotPortable(
                .captureTypeUnknown,
                "the closure was made in generic code whose arguments cannot be carried; make it in code that is not generic, or pass values as arguments"
            )
        }
    }

    // MARK: - Captures

    private mutating func encodeCapture(
        _ type: Any.Type,
        at field: UnsafeRawPointer,
        into writer: inout WireWriter
    ) throws {
        if type is AnyClass {
            let object = field.load(as: Unmanaged<AnyObject>.self).takeUnretainedValue()
            return try encodeCodable(object, static: type, into: &writer)
        }
        if let codable = type as? any Codable.Type { return try encodeValue(codable, at: field, into: &writer) }
        switch StructuralType(type) {
        case .tuple(let elements):
            for element in elements { try encodeCapture(element.type, at: field + element.offset, into: &writer) }
        case .function:
            try encode(FunctionWords(at: field), into: &writer)
        case .metatype:
            try references.write(field.load(as: Any.Type.self), into: &writer)
        case .empty:
            break
        case nil:
            throw NotCodable.value(type)
        }
    }

    private func encodeValue<T: Codable>(_: T.Type, at field: UnsafeRawPointer, into writer: inout WireWriter) throws {
        let value = field.assumingMemoryBound(to: T.self).pointee
        do {
            try WireCoding.encode(value, into: &writer, userInfo: userInfo)
        } catch let error as FunctionNotPortable {
            throw error
        } catch {
            throw FunctionNotPortable(
                .valueNotEncodable,
                type: "\(T.self)",
                "the captured value of type \(T.self) cannot be encoded: \(error)"
            )
        }
    }

    private mutating func encodeCodable(
        _ object: AnyObject,
        static type: Any.Type,
        into writer: inout WireWriter
    ) throws {
        guard let codable = object as? any Codable else { throw NotCodable.value(Swift.type(of: object)) }
        // A subclass arrives as what it is, not as the type it was captured by.
        try references.write(Swift.type(of: object), into: &writer)
        try withUnsafePointer(toValue: codable) { try encodeValue($0, at: $1, into: &writer) }
    }

    /// Opens `value` and calls `body` with its type and place.
    private func withUnsafePointer<T: Codable>(
        toValue value: T,
        _ body: (any Codable.Type, UnsafeRawPointer) throws -> Void
    ) rethrows {
        try Swift.withUnsafePointer(to: value) { try body(T.self, UnsafeRawPointer($0)) }
    }

    // MARK: - Objects in place of a box

    private mutating func encodeObject(_ address: UnsafeRawPointer, into writer: inout WireWriter) throws {
        let object = Unmanaged<AnyObject>.fromOpaque(address).takeUnretainedValue()
        if type(of: object) == CollectionStorage.ofReferences {
            // An array is one pointer to its storage.
            try encodeReferences(unsafeBitCast(object, to: [AnyObject].self), into: &writer)
        } else if let collection = CollectionStorage.collectionType(of: type(of: object)) {
            guard let codable = collection as? any Codable.Type else { throw NotCodable.value(collection) }
            references.write(tag: ContextKind.collection.rawValue, into: &writer)
            try references.write(collection, into: &writer)
            try withExtendedLifetime(object) {
                // An array, set or dictionary is one pointer to its storage.
                var storage = address
                try encodeValue(codable, at: &storage, into: &writer)
            }
        } else if Images.image(containing: UInt(bitPattern: address)) != nil {
            // An empty collection: every process has it in the same place. (A constant array is one of those above: the runtime completes it at its first use, which the other
            // process may not have seen.)
            references.write(tag: ContextKind.constant.rawValue, into: &writer)
            try references.write(UInt(bitPattern: address), as: .constant, into: &writer)
        } else {
            guard object is any Codable else { throw NotCodable.object(type(of: object)) }
            references.write(tag: ContextKind.object.rawValue, into: &writer)
            try encodeCodable(object, static: type(of: object), into: &writer)
        }
    }

    /// Writes an array whose elements are references, of whatever type: the standard library has one class of storage for all of them.
    private mutating func encodeReferences(_ objects: [AnyObject], into writer: inout WireWriter) throws {
        guard depth < maximumFunctionDepth else {
            throw FunctionNotPortable(
                .captureNotCodable,
                "the closure captures arrays more than \(maximumFunctionDepth) deep"
            )
        }
        depth += 1
        defer { depth -= 1 }
        references.write(tag: ContextKind.references.rawValue, into: &writer)
        references.write(count: objects.count, into: &writer)
        for object in objects { try encodeObject(Unmanaged.passUnretained(object).toOpaque(), into: &writer) }
    }
}
