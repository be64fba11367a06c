// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingWireCoding

/// A function that came from another process, before its types are known to the compiler.
struct FunctionParts {
    /// How it is called.
    let shape: FunctionShape
    /// The types of its parameters.
    let arguments: [any Portable.Type]
    /// The type of its result, if it has one.
    let result: (any Portable.Type)?
    /// The function value, with a reference to its context that whoever uses it takes over.
    let words: FunctionWords

    /// Reads what `PortableFunction` wrote.
    ///
    /// - Throws: `FunctionNotPortable` for damaged bytes and other builds, and what decoding the captures throws.
    init(from reader: inout WireReader, userInfo: [CodingUserInfoKey: Any]) throws {
        guard try reader.read(UInt64.self) == Images.build else {
            throw FunctionNotPortable(.otherBuild, "the function was sent by another build of this program")
        }
        let shape = FunctionShape(rawValue: try reader.read(UInt8.self))
        guard shape.isSubset(of: .all) else { throw FunctionNotPortable.corrupt("unknown shape of function") }
        let count = try reader.readVarint()
        guard count <= 256, count == 0 || !shape.contains(.isClosure) else {
            throw FunctionNotPortable.corrupt("wrong number of arguments")
        }

        var references = ReferenceReader()
        references.bind(UInt64(shape.rawValue))
        references.bind(count)
        var types: [any Portable.Type] = []
        for _ in 0..<count { types.append(try Self.readPortableType(&references, &reader)) }
        self.shape = shape
        arguments = types
        result = shape.contains(.hasResult) ? try Self.readPortableType(&references, &reader) : nil
        var decoder = FunctionDecoder(references: references, userInfo: userInfo)
        words = try decoder.decode(from: &reader)
    }

    private static func readPortableType(
        _ references: inout ReferenceReader,
        _ reader: inout WireReader
    ) throws -> any Portable.Type {
        let type = try references.readType(from: &reader)
        guard let portable = type as? any Portable.Type else {
            throw FunctionNotPortable.corrupt("\(type) is not Codable")
        }
        return portable
    }
}
