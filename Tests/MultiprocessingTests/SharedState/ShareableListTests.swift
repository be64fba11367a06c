// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ShareableListTests {
    @Test func `a list holds elements of every kind, whole`() throws {
        let elements: [ShareableList.Element] = [
            1, -2.5, true, false, nil, "", "a\0b\0", "Größe 🇨🇭", .bytes([0, 255, 0]), .integer(.min), .double(.infinity),
        ]
        let list = try ShareableList(elements)
        #expect(Array(list) == elements)
        #expect(try ChildProcess.run { Array(list) } == elements)
        #expect(list[0].integer == 1 && list[1].double == -2.5 && list[2].boolean == true)
        #expect(list[7].string == "Größe 🇨🇭" && list[8].bytes == [0, 255, 0] && list[4].integer == nil)
        #expect(list.count(of: true) == 1 && list.firstIndex(of: nil) == 4 && list.firstIndex(of: 9) == nil)
    }

    @Test func `an element is replaced by another that fits, of any kind`() throws {
        let list = try ShareableList(["12345678", 1, nil])
        try ChildProcess.run {
            try list.replaceElement(at: 0, with: "ü\0")
            try list.replaceElement(at: 1, with: true)
            try list.replaceElement(at: 2, with: 0.5)
        }
        #expect(Array(list) == ["ü\0", true, 0.5])
        #expect(list.capacity(at: 0) == 8 && list.capacity(at: 1) == 0)
        try list.replaceElement(at: 0, with: "12345678")
        #expect { try list.replaceElement(at: 0, with: "1234567ü") } throws: {
            ($0 as? SharedStateError)?.code == .tooLong
        }
        #expect { try list.replaceElement(at: 1, with: "x") } throws: { ($0 as? SharedStateError)?.code == .tooLong }
        #expect(Array(list) == ["12345678", true, 0.5])
        try list.replaceElement(at: 0, with: 3)
        try list.replaceElement(at: 0, with: "abc")
        #expect(list[0] == "abc")
    }

    @Test func `slots can have room to spare`() throws {
        let list = try ShareableList([nil, "x"], slotCapacity: 20)
        try list.replaceElement(at: 0, with: .string(String(repeating: "y", count: 20)))
        #expect(list[0].string?.count == 20 && list[1] == "x")
    }

    @Test func `a list with a name is opened and copied by others`() throws {
        let name = "mp-test-list-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        let list = try ShareableList([1, "two"], name: name)
        let same = try ShareableList(name: name)
        let copied = try ShareableList(same)
        try list.replaceElement(at: 0, with: 5)
        #expect(same[0] == 5 && copied[0] == 1)
        try list.unlink()
        #expect(throws: SharedStateError.self) { try ShareableList(name: name) }
        #expect(throws: SharedStateError.self) { try copied.unlink() }
    }

    @Test func `memory that is no list is refused`() throws {
        let name = "mp-test-list-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        let memory = try SharedMemory(name: name, create: true, size: 100)
        defer { try? memory.unlink() }
        #expect { try ShareableList(name: name) } throws: { ($0 as? SharedStateError)?.code == .notAList }
    }

    @Test func `an index out of range traps`() async {
        await #expect(processExitsWith: .failure) { _ = try ShareableList([1])[1] }
        await #expect(processExitsWith: .failure) { try ShareableList([1]).replaceElement(at: -1, with: 1) }
    }
}
