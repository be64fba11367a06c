// SPDX-License-Identifier: Apache-2.0

import Glibc
import MultiprocessingWireCoding
import Testing

@testable import MultiprocessingFunctions

/// References whose check is right and whose place is wrong: what another program of the same build could write, and no damage.
@Suite(.timeLimit(.minutes(30)))
struct ReferenceTests {
    /// Returns the reference as its writer would write it, wherever it points.
    private func bytes(_ identity: UInt64, offset: UInt64, _ role: ReferenceRole) -> [UInt8] {
        var writer = WireWriter()
        var hash = ReferenceHash()
        for number in [Images.build, role.rawValue, identity, offset] { hash.mix(number) }
        let isExecutable = identity == Images.build
        writer.write(UInt8(isExecutable ? 0 : 1))
        if !isExecutable { writer.write(identity) }
        writer.writeVarint(offset)
        writer.write(UInt32(truncatingIfNeeded: hash.value))
        return writer.withUnsafeBytes { Array($0) }
    }

    private func read(_ bytes: [UInt8], _ role: ReferenceRole) throws -> UInt {
        try bytes.withUnsafeBytes { bytes in
            var reader = WireReader(bytes)
            var references = ReferenceReader()
            return try references.read(as: role, from: &reader)
        }
    }

    @Test func `a place in each image is found, and one beyond its end is refused`() throws {
        for image in ImageTable().all {
            let size = UInt64(image.range.upperBound - image.base)
            let code = UInt64(image.code.lowerBound - image.base)
            #expect(try read(bytes(image.identity, offset: code, .function), .function) == image.code.lowerBound)
            for offset in [size, size + 1, size + 1 << 40, UInt64.max, UInt64(1) << 63] {
                #expect { try read(bytes(image.identity, offset: offset, .function), .function) } throws: {
                    ($0 as? FunctionNotPortable)?.code == FunctionNotPortable.corrupt("").code
                }
            }
        }
    }

    @Test func `a place in an image that is not loaded here is refused`() {
        #expect { try read(bytes(12345, offset: 64, .function), .function) } throws: {
            ($0 as? FunctionNotPortable)?.code == .imageUnknown
        }
    }

    @Test func `code is no constant`() throws {
        let program = try #require(ImageTable().executable)
        let offset = UInt64(program.code.lowerBound - program.base)
        #expect(throws: FunctionNotPortable.self) {
            try read(bytes(program.identity, offset: offset, .constant), .constant)
        }
        // The check binds the role as well.
        #expect(throws: FunctionNotPortable.self) {
            try read(bytes(program.identity, offset: offset, .function), .constant)
        }
    }
}

/// The table of images, which is not taken anew for every address that is in none of them.
@Suite(.timeLimit(.minutes(10)))
struct KnownImagesTests {
    @Test func `an address in no image is not looked for in a new table, unless a library was loaded since`() throws {
        let object = Account(owner: "Ann", balance: 1)
        let address = UInt(bitPattern: Unmanaged.passUnretained(object).toOpaque())
        var images = KnownImages()
        for _ in 0..<100 {
            #expect(images.lookUp { $0.image(containing: address) } == nil)
            #expect(images.lookUp { $0.image(withIdentity: 12345) } == nil)
        }
        #expect(images.readings == 1)

        // One of the C library that nothing here is linked with.
        let library = try #require(dlopen("libBrokenLocale.so.1", RTLD_NOW) ?? dlopen("libanl.so.1", RTLD_NOW))
        defer { dlclose(library) }
        let loaded = ImageTable().all.first { $0.name.contains("BrokenLocale") || $0.name.contains("libanl") }
        let place = try #require(loaded).range.lowerBound
        #expect(images.lookUp { $0.image(containing: place) }?.range.lowerBound == place)
        #expect(images.readings == 2)
        #expect(images.lookUp { $0.image(containing: address) } == nil)
        #expect(images.readings == 2)
        withExtendedLifetime(object) {}
    }
}
