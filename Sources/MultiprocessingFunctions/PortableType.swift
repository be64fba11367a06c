// SPDX-License-Identifier: Apache-2.0

package import MultiprocessingWireCoding

/// A type that travels on its own, such as that of an error.
package enum PortableType {
    /// Writes `type`.
    ///
    /// - Throws: `FunctionNotPortable` when another process could not find it.
    package static func write(_ type: Any.Type, into writer: inout WireWriter) throws {
        writer.write(Images.build)
        var references = ReferenceWriter()
        try references.write(type, into: &writer)
    }

    /// Reads a type.
    ///
    /// - Throws: `FunctionNotPortable` for damaged bytes and other builds.
    package static func read(from reader: inout WireReader) throws -> Any.Type {
        guard try reader.read(UInt64.self) == Images.build else {
            throw FunctionNotPortable(.otherBuild, "the type was sent by another build of this program")
        }
        var references = ReferenceReader()
        return try references.readType(from: &reader)
    }
}
