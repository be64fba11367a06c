// SPDX-License-Identifier: Apache-2.0
//
// The decoder is given bytes that no encoder writes. It may throw or return some value; it must not trap, hang, or allocate more than the bytes can account for.

internal import Foundation
internal import Multiprocessing
internal import MultiprocessingWireCoding
internal import Testing

@Suite(.timeLimit(.minutes(30)))
struct `Hostile bytes` {
    @Test func `random bytes are an error or a value, for little memory`() async throws {
        try await withLittleMemory {
            var generator = SeededGenerator(seed: 1)
            for target in try targets() {
                for _ in 0..<600 {
                    let length = Int.random(in: 0...64, using: &generator)
                    var message = (0..<length).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
                    // Most random bytes are refused at the first tag: a sound one lets them in further.
                    if Bool.random(using: &generator), let first = target.sound.first, !message.isEmpty {
                        message[0] = first
                        for index in 1..<min(8, message.count) where index > 1 || length > 8 { message[index] = 0 }
                        if message.count > 8, first >= 0x91, first <= 0x93 { message[1] = UInt8(message.count - 8) }
                    }
                    message.withUnsafeBytes { try? target.attempt($0) }
                }
            }
        }
    }

    @Test func `sound bytes with a few changed are an error or a value, for little memory`() async throws {
        try await withLittleMemory {
            var generator = SeededGenerator(seed: 2)
            for target in try targets() {
                for _ in 0..<1000 {
                    let message = damaged(target.sound, &generator)
                    message.withUnsafeBytes { try? target.attempt($0) }
                }
            }
        }
    }

    @Test func `little memory is little`() async {
        await #expect(throws: ProcessLost.self) {
            try await withLittleMemory {
                if [UInt8](repeating: 1, count: 64 << 20).isEmpty { throw Unexpected(description: "no bytes") }
            }
        }
    }

    @Test func `every sound message cut short is an error`() throws {
        for target in try targets() {
            for length in 0..<target.sound.count {
                #expect(throws: (any Error).self) {
                    try Array(target.sound[..<length]).withUnsafeBytes { try target.attempt($0) }
                }
            }
        }
    }

    @Test func `lengths and counts that the bytes do not hold are refused before anything is allocated`() throws {
        let huge: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]
        let before = try peakAddressSpace()
        #expect(decodingFailure(String.self, from: [0x8D] + huge) is WireCodingError)
        #expect(decodingFailure([Double].self, from: [0x8E, 72] + huge) is WireCodingError)
        #expect(decodingFailure(Data.self, from: [0x8E, 1] + huge) is WireCodingError)
        #expect(decodingFailure([Particle].self, from: [0x8E, 128] + huge + [0]) is DecodingError)
        #expect(decodingFailure([Particle].self, from: [0x8E, 128, 0, 0]) is WireCodingError)
        #expect(decodingFailure([Nothing].self, from: [0x92] + huge.prefix(7) + [0, 0, 0, 0x80]) is WireCodingError)
        #expect(
            decodingFailure([Nothing].self, from: [0x92, 4, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0x7F])
                is WireCodingError
        )
        #expect(
            decodingFailure([String: Int].self, from: [0x91, 3, 0, 0, 0, 0, 0, 0, 0xFE, 0x7F, 1]) is WireCodingError
        )
        #expect(
            decodingFailure([Wide].self, from: [0x92, 4, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0x7F]) is WireCodingError
        )
        // In KiB; other tests run beside this one.
        #expect(try peakAddressSpace() < before + 1 << 20)
    }

    /// Returns the most address space this process has had, in KiB: an allocation shows in it even if it was never touched.
    private func peakAddressSpace() throws -> Int {
        let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmPeak:") })
        return try #require(Int(line.filter(\.isNumber)))
    }

    /// A type whose elements have two kilobytes in memory, and may have one byte in a message.
    private struct Wide: Codable {
        var bulk: (SIMD64<Double>, SIMD64<Double>, SIMD64<Double>, SIMD64<Double>) = (.zero, .zero, .zero, .zero)
        init(from decoder: any Decoder) throws { throw CancellationError() }
        func encode(to encoder: any Encoder) throws {}
    }

    @Test func `the memory reserved for a list is in proportion to its bytes`() throws {
        let count = 4_000_000
        let before = try peakAddressSpace()
        var message: [UInt8] = [0x92]
        withUnsafeBytes(of: UInt64(count + 4).littleEndian) { message += $0.prefix(7) }
        withUnsafeBytes(of: UInt32(count).littleEndian) { message += $0 }
        message += [UInt8](repeating: 0x83, count: count)
        let error = decodingFailure([Wide].self, from: message)
        #expect(error is CancellationError)
        #expect(try peakAddressSpace() < before + 1 << 20)
        var reader = WireReader(UnsafeRawBufferPointer(start: nil, count: 0))
        #expect(throws: WireCodingError.self) { try reader.readCount(minimumBytesPerElement: 8) }
    }

    @Test func `strings and keys that are not UTF-8 and Booleans that are no Booleans are refused`() throws {
        #expect(decodingFailure(String.self, from: [0xA2, 0xC3, 0x28]) is WireCodingError)
        #expect(
            decodingFailure([String].self, from: [0x92, 6, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0xA1, 0xFF]) is WireCodingError
        )
        #expect(decodingFailure([Bool].self, from: [0x8E, 97, 2, 1, 2]) is WireCodingError)
        #expect(try value([Bool].self, from: [0x8E, 97, 2, 1, 0]) == [true, false])
        #expect(decodingFailure([String: Int].self, from: [0x91, 3, 0, 0, 0, 0, 0, 0, 2, 0xFF, 1]) is WireCodingError)
    }

    @Test func `bytes after the value are refused`() throws {
        let error = decodingFailure(Int.self, from: [1, 2])
        #expect((error as? WireCodingError)?.code == .trailingBytes)
    }

    @Test func `a chain of boxes and optionals does not cost stack`() throws {
        let message = [UInt8](repeating: 0x90, count: 1_000_000) + [5]
        #expect(try value(Int.self, from: message) == 5)
        #expect(decodingFailure(Mixed.self, from: message) is DecodingError)
        _ = decodingFailure(Int?.self, from: message)
    }
}

/// A type to be decoded from whatever there is, and a value of it.
private struct Target {
    let sound: [UInt8]
    let attempt: (UnsafeRawBufferPointer) throws -> Void

    init<Value: Codable>(_ value: Value) throws {
        sound = try bytes(of: value)
        attempt = { _ = try WireCoding.decode(Value.self, from: $0) }
    }
}

/// Types of every kind, with values.
private func targets() throws -> [Target] {
    let shape = Shape.many(shapes: [.empty, .pair(.circle(radius: 1), .empty)], names: ["a": .labelled("x", nil)])
    let list: [Dynamic] = [.int(1), .null, .string("long enough to need a tag of its own")]
    let tree = Dynamic.object(["a": .list(list), "b": .bool(true)])
    var targets = [
        try Target(Mixed.sample), try Target([Mixed.sample, .sample]), try Target(shape), try Target(tree),
        try Target(Backwards(a: 1, b: "two", d: [3, 4])), try Target(NestingDog(name: "Rex", tricks: ["sit"])),
        try Target(SharingDog(name: "Rex", tricks: ["sit"])),
    ]
    targets += [
        try Target(["a": [1, 2, 3], "b": []]), try Target([1: "one", 2: "two"]),
        try Target([1.5: Optional("x"), 2: nil]), try Target([Bool](repeating: true, count: 9)),
        try Target([nil, "x", "y"] as [String??]), try Target(Set(["a", "b"])), try Target([1.0, 2, 3]),
    ]
    targets += [
        try Target([Float(1)]), try Target(1...5), try Target(Int128.max), try Target(UInt128.max),
        try Target("text"), try Target([SIMD4<Float>(repeating: 1)]), try Target(Particle(x: 1, y: 2)),
        try Target([Particle(x: 1, y: 2)]), try Target([Nothing(), Nothing()]),
    ]
    targets += [
        try Target(Data([1, 2, 3])), try Target(URL(string: "http://a.b/c")), try Target(Date()),
        try Target(UUID()), try Target([Options(rawValue: 3)]), try Target(Decimal(1.5)),
    ]
    return targets
}

/// Returns the bytes with up to three changed, cut off or added.
private func damaged(_ bytes: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
    var message = bytes
    for _ in 0..<Int.random(in: 1...3, using: &generator) where !message.isEmpty {
        let index = Int.random(in: message.indices, using: &generator)
        switch Int.random(in: 0..<5, using: &generator) {
        case 0: message[index] = UInt8.random(in: .min ... .max, using: &generator)
        case 1: message[index] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case 2: message.removeSubrange(index...)
        case 3: message.insert(UInt8.random(in: 0x80...0x95, using: &generator), at: index)
        default: message[index] = [0, 0x7F, 0x80, 0xFF][Int.random(in: 0..<4, using: &generator)]
        }
    }
    return message
}

/// A type that is carried as it lies in memory.
struct Particle: BitwiseCodable, Equatable {
    var x: Double
    var y: Float
}
