// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingWireCoding
internal import Testing

@Suite(.timeLimit(.minutes(30)))
struct `Writers and readers of bytes` {
    @Test func `primitive values are read back in the order they were written`() throws {
        var writer = WireWriter(capacity: 1)
        writer.write(UInt8(7))
        writer.write(Int64.min)
        writer.writeString("grüß")
        writer.write(UInt16(0x1234))
        for number in [0, 127, 128, 300, UInt64.max] { writer.writeVarint(number) }
        [UInt8](1...9).withUnsafeBytes { writer.writeLengthPrefixedBytes($0) }

        try writer.withUnsafeBytes { bytes throws in
            var reader = WireReader(bytes)
            #expect(try reader.read(UInt8.self) == 7)
            #expect(try reader.read(Int64.self) == .min)
            #expect(try reader.readString() == "grüß")
            #expect(try reader.readBytes(2).elementsEqual([0x34, 0x12]))
            for number in [0, 127, 128, 300, UInt64.max] { #expect(try reader.readVarint() == number) }
            #expect(try reader.readLengthPrefixedBytes().elementsEqual(1...9))
            #expect(reader.isAtEnd && reader.remaining == 0)
        }
    }

    @Test func `a failed read leaves the reader where it was`() throws {
        let bytes: [UInt8] = [5, 0xFF, 0xFF]
        try bytes.withUnsafeBytes { bytes throws in
            var reader = WireReader(bytes)
            #expect(throws: WireCodingError.self) { try reader.read(UInt64.self) }
            #expect(throws: WireCodingError.self) { try reader.readString() }
            #expect(throws: WireCodingError.self) { try reader.readCount() }
            #expect(throws: WireCodingError.self) { try reader.readBytes(4) }
            #expect(throws: WireCodingError.self) { try reader.readBytes(-1) }
            #expect(reader.remaining == 3)
            #expect(try reader.read(UInt8.self) == 5)
            #expect(throws: WireCodingError.self) { try reader.readVarint() }
            #expect(reader.remaining == 2)
        }
    }

    @Test func `a number of more than 64 bits is refused`() {
        let bytes = [UInt8](repeating: 0xFF, count: 9) + [2]
        bytes.withUnsafeBytes { bytes in
            var reader = WireReader(bytes)
            #expect(throws: WireCodingError.self) { try reader.readVarint() }
        }
    }

    @Test func `a count is compared with the bytes that are left`() throws {
        let bytes: [UInt8] = [2] + [UInt8](repeating: 0, count: 16)
        try bytes.withUnsafeBytes { bytes throws in
            var reader = WireReader(bytes)
            #expect(throws: WireCodingError.self) { try reader.readCount(minimumBytesPerElement: 9) }
            #expect(try reader.readCount(minimumBytesPerElement: 8) == 2)
        }
    }

    @Test func `a writer's memory is reused`() throws {
        var writer = WireWriter()
        try WireCoding.encode([Double](repeating: 1, count: 1000), into: &writer)
        let first = writer.withUnsafeBytes { $0.baseAddress }
        writer.removeAll(keepingCapacity: true)
        #expect(writer.count == 0)
        try WireCoding.encode([Mixed](repeating: .sample, count: 5), into: &writer)
        #expect(writer.withUnsafeBytes { $0.baseAddress } == first)
        writer.removeAll(keepingCapacity: false)
        #expect(writer.withUnsafeBytes { $0.isEmpty })
    }

    @Test func `types carried as they lie in memory arrive alone and in bulk`() throws {
        try expectCarried(Particle(x: 1, y: 2))
        try expectCarried((0..<1000).map { Particle(x: Double($0), y: 1) })
        try expectCarried(["p": [Particle(x: 1, y: 2)]])
        #expect(try bytes(of: [Particle](repeating: Particle(x: 0, y: 0), count: 100)).count < 1610)
    }

    @Test func `values with padding behind them may be read alone and in bulk, however they were written`() throws {
        let size = MemoryLayout<Particle>.size
        #expect(size < MemoryLayout<Particle>.stride)
        let particles = (0..<5).map { Particle(x: Double($0), y: -1) }
        let inBulk = try bytes(of: particles)
        let alone = try bytes(of: OneByOne(elements: particles))
        #expect(try value(OneByOne<Particle>.self, from: inBulk).elements == particles)
        #expect(try value([Particle?].self, from: inBulk) == particles)
        #expect(try value([Particle].self, from: alone) == particles)
        #expect(try value([Particle?].self, from: alone) == particles)
        #expect(try value([Particle].self, from: bytes(of: particles.map(Optional.some))) == particles)
        #expect(try value([Particle].self, from: bytes(of: Silent())) == [])

        // Values of no bytes, from one to the next of which there is one.
        let empties = [Emptiness](repeating: Emptiness(), count: 3)
        #expect(try value(OneByOne<Emptiness>.self, from: bytes(of: empties)).elements == empties)
        #expect(try value([Emptiness].self, from: bytes(of: OneByOne(elements: empties))) == empties)

        // Any other number of bytes is no such value.
        for count in 0...40 where count != size && count != MemoryLayout<Particle>.stride {
            let message = [0x8F, UInt8(count)] + [UInt8](repeating: 0, count: count)
            #expect(throws: DecodingError.self) { try value(Particle.self, from: message) }
        }
    }

    @Test func `threads may find the plans of the same types at the same time`() async {
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    do {
                        let value = [["a": [Optional(UInt16(3))]]: ContiguousArray([Set([Int32(1)])])]
                        for _ in 0..<200 where try carried(value) != value { return false }
                        return true
                    } catch {
                        return false
                    }
                }
            }
            for await isRight in group { #expect(isRight) }
        }
    }
}

/// A type without any bytes.
private struct Emptiness: BitwiseCodable, Equatable {}

/// A list that is written and read element by element.
private struct OneByOne<Element: Codable>: Codable {
    let elements: [Element]

    init(elements: [Element]) { self.elements = elements }

    init(from decoder: any Decoder) throws {
        var container = try decoder.unkeyedContainer()
        var elements: [Element] = []
        while !container.isAtEnd { elements.append(try container.decode(Element.self)) }
        self.elements = elements
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.unkeyedContainer()
        for element in elements { try container.encode(element) }
    }
}
