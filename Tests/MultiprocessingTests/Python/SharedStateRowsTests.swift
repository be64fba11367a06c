// SPDX-License-Identifier: Apache-2.0
//
// What Python's `Value`, `Array` and `shared_memory` do, where the suites of each do not show it already. "Coming from Python" lists every row.

import Glibc
import Multiprocessing
import Testing

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct SharedStateRowsTests {
    /// A name no other test run uses.
    private let name = "mp-test-\(getpid())-\(UInt64.random(in: 0 ... .max))"

    @Test func `every type code has a counterpart`() throws {
        func expectKept<T: BitwiseCopyable & Sendable & Equatable>(_ first: T, _ last: T) throws {
            let value = try SharedValue(first)
            let array = try SharedArray([first, last])
            let (valueElsewhere, arrayElsewhere) = (try copy(value), try copy(array))
            valueElsewhere.value = last
            #expect(value.value == last)
            #expect(Array(arrayElsewhere) == [first, last])
        }
        try expectKept(CChar.min, .max)  // c, b
        try expectKept(UInt8.min, .max)  // B
        try expectKept(Int16.min, .max)  // h
        try expectKept(UInt16.min, .max)  // H
        try expectKept(Int32.min, .max)  // i
        try expectKept(UInt32.min, .max)  // I, u
        try expectKept(Int.min, .max)  // l, q
        try expectKept(UInt64.min, .max)  // L, Q
        try expectKept(-Float.greatestFiniteMagnitude, .infinity)  // f
        try expectKept(-Double.greatestFiniteMagnitude, .leastNonzeroMagnitude)  // d
        try expectKept(true, false)
    }

    @Test func `an array of a number is zero, and one of elements is a copy of them`() throws {
        let source = try SharedArray([1, 2, 3])
        let copied = try SharedArray(source)
        source[0] = 9
        #expect(Array(copied) == [1, 2, 3])
        #expect(Array(try SharedArray<Int16>(count: 3)) == [0, 0, 0])
        let value = try SharedValue(4)
        let same = try SharedValue(value.value)
        value.value = 5
        #expect(same.value == 4)
    }

    @Test func `a part of an array is read as a slice and written with as many elements`() async throws {
        let array = try SharedArray(0..<5)
        #expect(array[1..<4].map { $0 * 2 } == [2, 4, 6] && Array(array.suffix(2)) == [3, 4])
        array.replaceElements(in: 1..<3, with: [7, 8])
        array.replaceElements(in: 5..<5, with: [])
        #expect(Array(array) == [0, 7, 8, 3, 4])
        await #expect(processExitsWith: .failure) { try SharedArray(0..<5).replaceElements(in: 1..<3, with: [1]) }
        await #expect(processExitsWith: .failure) { try SharedArray(0..<5).replaceElements(in: 4..<6, with: [1, 2]) }
    }

    @Test func `text of bytes ends where it does, zeros included`() throws {
        let text = try SharedArray<UInt8>("a\0b\0".utf8)
        let seen = try ChildProcess.run { text.withUnsafeMutableBufferPointer { Array($0) } }
        #expect(seen == [97, 0, 98, 0])
    }

    @Test func `memory with a name belongs to its user alone`() throws {
        let memory = try SharedMemory(name: name, create: true, size: 10)
        defer { try? memory.unlink() }
        var status = stat()
        #expect(stat("/dev/shm/\(name)", &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600 && status.st_size == 10)
    }

    @Test func `memory with a name outlives who opened it, and who made it`() throws {
        let child = ChildProcess { [name] in
            let memory = try SharedMemory(name: name, create: true, size: 100)
            memory.withUnsafeMutableBytes { $0[0] = 3 }
            _ = kill(getpid(), SIGKILL)
        }
        try child.start()
        try child.join()
        let first = ChildProcess(startMethod: .spawn) { [name] in _ = try SharedMemory(name: name) }
        try first.start()
        try first.join()
        let memory = try SharedMemory(name: name)
        #expect(memory.size == 100 && memory.withUnsafeMutableBytes { $0[0] } == 3)
        try memory.unlink()
        #expect { try SharedMemory(name: name) } throws: { ($0 as? SharedStateError)?.code == .doesNotExist }
    }

    @Test func `a name may be as long as a file's, in bytes`() throws {
        let long = name + String(repeating: "ü", count: (255 - name.utf8.count) / 2)
        let memory = try SharedMemory(name: long, create: true, size: 1)
        #expect(try SharedMemory(name: long).size == 1)
        try memory.unlink()
    }

    @Test func `memory stays mapped while its bytes are in use, whoever lets go of it`() throws {
        func part(of memory: SharedMemory) -> UInt8 {
            let span = memory.bytes
            return span.unsafeLoad(fromByteOffset: 1, as: UInt8.self)
        }
        let array = try SharedArray<Int>(repeating: 7, count: 1000)
        // The only reference is the one that the span is tied to.
        let sum = { (array: consuming SharedArray<Int>) -> Int in
            let span = array.span
            var sum = 0
            for index in span.indices { sum += span[index] }
            return sum
        }(array)
        #expect(sum == 7000)
        #expect(part(of: try SharedMemory(size: 2)) == 0)
    }

    @Test func `a list is copied under a name, and its slots stay as large`() throws {
        let list = try ShareableList(["abcdefgh", 1, nil])
        let named = try ShareableList(list, name: name)
        defer { try? named.unlink() }
        try list.replaceElement(at: 1, with: 2)
        #expect(Array(try ShareableList(name: name)) == ["abcdefgh", 1, nil] && named.capacity(at: 0) == 8)
        #expect(named.count == 3 && named.endIndex == 3 && named.name == name && list.name == nil)
        #expect { try ShareableList(list, name: name) } throws: { ($0 as? SharedStateError)?.code == .alreadyExists }
    }

    @Test func `handles go through any Codable value at any time, not only at a start`() throws {
        struct Job: Codable, Sendable {
            var value: SharedValue<Int>
            var list: ShareableList
            var memory: SharedMemory
        }
        let job = Job(value: try SharedValue(1), list: try ShareableList(["x"]), memory: try SharedMemory(size: 3))
        let received = try copy([copy(job)])[0]
        received.value.value = 5
        try received.list.replaceElement(at: 0, with: "y")
        received.memory.withUnsafeMutableBytes { $0[2] = 9 }
        #expect(job.value.value == 5 && job.list[0] == "y" && job.memory.withUnsafeMutableBytes { $0[2] } == 9)
    }
}
