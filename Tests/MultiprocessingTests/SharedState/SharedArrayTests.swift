// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct SharedArrayTests {
    @Test func `an array is a collection of fixed length, zero at first`() throws {
        let array = try SharedArray<Int>(count: 5)
        #expect(Array(array) == [0, 0, 0, 0, 0] && array.count == 5)
        array[1] = 7
        array[4] -= 2
        array.replaceElements(in: 2..<4, with: [8, 9])
        #expect(array.reduce(0, +) == 22 && array.last == -2 && array.firstIndex(of: 9) == 3)
        #expect("\(array)" == "[0, 7, 8, 9, -2]" && Array(array[1..<3]) == [7, 8])
        #expect(Array(try SharedArray(["a".utf8.first ?? 0, 2])) == [97, 2])
        #expect(Array(try SharedArray(repeating: 1.5, count: 2)) == [1.5, 1.5])
        #expect(try SharedArray<Int>(count: 0).isEmpty)
    }

    @Test func `elements that are replaced by others of the same array arrive as they were`() throws {
        let numbers = Array(0..<8)
        for (from, to) in [(0, 2), (2, 0), (0, 0), (4, 3)] {
            let array = try SharedArray(numbers)
            array.replaceElements(in: to..<to + 4, with: array[from..<from + 4])
            var expected = numbers
            expected.replaceSubrange(to..<to + 4, with: numbers[from..<from + 4])
            #expect(Array(array) == expected)
        }
        let array = try SharedArray(numbers)
        array.replaceElements(in: 0..<8, with: array.reversed())
        #expect(Array(array) == numbers.reversed())
        array.replaceElements(in: 1..<3, with: array.lazy.map { $0 + 1 }.prefix(2))
        #expect(Array(array) == [7, 8, 7, 4, 3, 2, 1, 0])
        array.replaceElements(in: 8..<8, with: [])
        array.replaceElements(in: 0..<8, with: array)
        #expect(array.first == 7 && array.last == 0)
    }

    @Test func `processes fill an array in place`() throws {
        let array = try SharedArray<Point>(count: 1000)
        let children = (0..<2).map { half in
            ChildProcess { for index in stride(from: half, to: 1000, by: 2) { array[index].x = index * index } }
        }
        for child in children { try child.start() }
        for child in children { try child.join() }
        #expect(array.indices.allSatisfy { array[$0] == Point(x: $0 * $0, y: 0) })
    }

    @Test func `spans read and write the shared memory itself`() throws {
        let array = try SharedArray<Int32>(count: 4)
        let other = try copy(array)
        var span = array.mutableSpan
        for index in span.indices { span[index] = Int32(index) }
        #expect(Array(other) == [0, 1, 2, 3])
        other[0] = 9
        #expect(array.span[0] == 9)
        #expect(array.withUnsafeMutableBufferPointer { $0.count } == 4)
    }

    @Test func `an index out of range traps`() async {
        await #expect(processExitsWith: .failure) { try SharedArray<Int>(count: 2)[2] = 1 }
        await #expect(processExitsWith: .failure) { _ = try SharedArray<Int>(count: 2)[-1] }
    }

    @Test func `sizes that cannot be are errors at once`() throws {
        #expect { try SharedArray<Int>(count: -1) } throws: { ($0 as? SharedStateError)?.code == .invalidSize }
        #expect { try SharedArray<Int>(count: Int.max) } throws: { ($0 as? SharedStateError)?.code == .invalidSize }
        #expect { try SharedArray<Int>(count: 1 << 40) } throws: { "\($0)".contains("available") }
    }

    @Test func `what a dead process left in an array is mended with the lock, by threads and by tasks`() async throws {
        let array = try SharedArray<Int>(count: 1)
        for waits in [false, true] {
            let child = ChildProcess {
                try array.withLock {
                    array[0] = -1
                    _ = kill(getpid(), SIGKILL)
                }
            }
            try child.start()
            try await child.join()
            if waits {
                try await array.recover { array[0] = 1 }
            } else {
                try await ChildProcess.run { try array.recover { array[0] = 1 } }
            }
            try await array.withLock { array[0] += 1 }
            #expect(array[0] == 2)
        }
    }

    @Test func `the array's lock is recursive and shared`() throws {
        let array = try SharedArray<Int>(count: 1)
        try array.withLock { try array.withLock { array[0] = 1 } }
        let children = (0..<2).map { _ in ChildProcess { for _ in 0..<10_000 { try array.withLock { array[0] += 1 } } }
        }
        for child in children { try child.start() }
        for child in children { try child.join() }
        #expect(array[0] == 20_001)
    }
}
