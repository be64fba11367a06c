// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import MultiprocessingFunctions

/// What a name says, wherever the linker has put what it refers to: the bytes of a reference may be those of any letters.
@Suite(.timeLimit(.minutes(10)))
struct MangledNameTests {
    /// Calls `body` with a name that refers to `type` by an offset of those two bytes, followed by `letters`.
    private func withName<R>(
        _ type: Any.Type,
        _ low: Unicode.Scalar,
        _ high: Unicode.Scalar,
        _ letters: String,
        _ body: (MangledName) throws -> R
    ) throws -> R {
        let descriptor = try #require(NominalType(type)).descriptor
        let offset = Int(UInt8(ascii: low)) | Int(UInt8(ascii: high)) << 8
        // The name, and at that distance from the offset in it a pointer to the descriptor, aligned as pointers are.
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 8)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 0)
        let start = (2 * 8 - 1 - offset % 8) % 8
        let place = start + 1
        memory[start] = 0x02  // a reference to a pointer
        memory.storeBytes(of: Int32(offset), toByteOffset: place, as: Int32.self)
        for (index, letter) in letters.utf8.enumerated() { memory[place + 4 + index] = letter }
        memory.storeBytes(of: descriptor, toByteOffset: place + offset, as: UnsafeRawPointer.self)
        let name = UnsafeRawBufferPointer(rebasing: memory[start..<place + 4 + letters.utf8.count])
        return try name.withMemoryRebound(to: UInt8.self) { try body(MangledName(bytes: $0)) }
    }

    /// Letters that mean something in a name.
    private static let letters = Array("AIQXPZSgpwxz_09".unicodeScalars)

    @Test(arguments: letters)
    func `a variable is told by its type, whatever letters the reference to it is made of`(low: Unicode.Scalar) throws {
        for high in Self.letters {
            try withName(Rectangle.self, low, high, "z_Xx") { name in
                #expect(name.special == .box)
                #expect(name.source == "{ var FunctionsTests.Rectangle }")
                #expect(FunctionNotPortable.capture(named: name).typeName?.hasSuffix("Rectangle") == true)
            }
        }
    }

    @Test(arguments: letters)
    func `a value is one, whatever letters the reference to its type is made of`(low: Unicode.Scalar) throws {
        for high in Self.letters {
            try withName(Rectangle.self, low, high, "") { name in
                #expect(name.special == nil && !name.isFunction)
                #expect(!name.hasAssociatedType(ofFirst: true) && !name.hasAssociatedType(ofFirst: false))
                #expect(name.source == "FunctionsTests.Rectangle")
                #expect(name.type == Rectangle.self)
            }
            try withName(Rectangle.self, low, high, "SgXw") { name in
                #expect(name.special == .weak)
            }
        }
    }
}
