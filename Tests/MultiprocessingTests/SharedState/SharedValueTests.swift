// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Glibc
import Multiprocessing
import Testing

/// Two numbers, as a program's own type.
struct Point: BitwiseCopyable, Sendable, Equatable {
    var x = 0
    var y = 0.5
}

/// A number and an address.
private struct Node: BitwiseCopyable, @unchecked Sendable {
    var number = 0
    var next: UnsafeMutablePointer<Int>?
}

/// An address in one of its cases.
private enum Place: BitwiseCopyable, @unchecked Sendable {
    case none
    case number(Int)
    case pointer(UnsafeRawPointer)
}

/// An address in a case of a field of a generic type's argument.
private struct Nested<Element: BitwiseCopyable & Sendable>: BitwiseCopyable, Sendable {
    var elements: (Element?, Element?)
}

/// No address in any case.
private enum Reading: BitwiseCopyable, Sendable {
    case none
    case temperature(Double, at: Duration)
    case pair(Nested<Int>)
}

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct SharedValueTests {
    @Test func `a value is seen and changed by other processes`() throws {
        let value = try SharedValue(Point())
        try ChildProcess.run {
            try value.withLock { point in
                if point == Point() { point = Point(x: 3, y: 4) }
            }
        }
        #expect(value.value == Point(x: 3, y: 4))
    }

    @Test func `every increment under the lock counts`() throws {
        let counter = try SharedValue(0)
        let children = (0..<4).map { _ in ChildProcess { for _ in 0..<10_000 { try counter.withLock { $0 += 1 } } } }
        for child in children { try child.start() }
        for child in children { try child.join() }
        #expect(counter.value == 40_000)
    }

    @Test func `the value can be read and the lock taken again inside the lock`() throws {
        let value = try SharedValue(1)
        try value.withLock { outer in
            #expect(value.value == 1)
            try value.withLock { $0 += 1 }
            outer += 10
        }
        #expect(value.value == 11)
    }

    @Test func `a change that throws is kept up to there, as with any inout argument`() throws {
        let value = try SharedValue(1)
        #expect(throws: TestFailure.self) {
            try value.withLock {
                $0 = 2
                throw TestFailure()
            }
        }
        #expect(value.value == 2)
    }

    @Test func `a process killed in the lock leaves the value whole, and its death is learnt by withLock alone`() throws
    {
        let value = try SharedValue(1)
        let child = ChildProcess {
            try value.withLock {
                $0 = 2
                _ = kill(getpid(), SIGKILL)
            }
        }
        try child.start()
        try child.join()
        #expect(value.value == 1)
        value.value = 3
        #expect(throws: OwnerDied.self) { try value.withLock { $0 = 4 } }
        try value.withLock { $0 += 1 }
        #expect(value.value == 4)
        #expect(try value.recover { $0 } == 4)
    }

    @Test func `a task mends what a dead process left, and waits for the lock without a thread`() async throws {
        let value = try SharedValue(1)
        try await value.withLock { _ in }
        let entered = try Event()
        let child = ChildProcess {
            try value.withLock { _ in
                entered.set()
                while true { pause() }
            }
        }
        try child.start()
        try await entered.wait()
        let mended = Task { try await value.recover { $0 += 1 } }
        let given = Task { try await value.recover { $0 = -100 } }
        given.cancel()
        await #expect(throws: CancellationError.self) { try await given.value }
        try child.kill()
        try await mended.value
        #expect(value.value == 2)
        try await child.join()
    }

    @Test func `tasks change a value`() async throws {
        let value = try SharedValue(0)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<10 { group.addTask { for _ in 0..<100 { try await value.withLock { $0 += 1 } } } }
            try await group.waitForAll()
        }
        #expect(value.value == 1000)
    }

    @Test func `a type with an address in it is refused`() throws {
        #expect { try SharedValue(Node()) } throws: { ($0 as? SharedStateError)?.code == .containsPointer }
        #expect { try SharedValue(Node?.some(Node())) } throws: { "\($0)".contains("UnsafeMutablePointer") }
        #expect(throws: SharedStateError.self) { try SharedArray<Node>(count: 2) }
        #expect(throws: SharedStateError.self) { try SharedArray<Node>(count: 0) }
        // Whatever case there is at the moment.
        #expect { try SharedValue(Place.none) } throws: { "\($0)".contains("UnsafeRawPointer") }
        #expect(throws: SharedStateError.self) { try SharedValue(Node?.none) }
        #expect(throws: SharedStateError.self) { try SharedValue(Nested<Place>(elements: (nil, nil))) }
        #expect(throws: SharedStateError.self) { try SharedArray<(Int, Place)>(count: 2) }
        _ = try SharedValue(Reading.none)
        _ = try SharedValue(timespec())
        _ = try SharedValue(SIMD4<Float>.zero)
        _ = try SharedValue<[3 of Int]>([1, 2, 3])
        _ = try SharedValue((1, 2.5, true))
        _ = try SharedValue(Duration.seconds(1))
    }

    @Test func `an atomic value is changed by several processes without a lock`() throws {
        let count = try SharedAtomic(0)
        let small = try SharedAtomic(UInt8(250))
        let children = (0..<3).map { _ in
            ChildProcess {
                for _ in 0..<10_000 { count.wrappingAdd(1) }
                small.wrappingAdd(2)
            }
        }
        for child in children { try child.start() }
        for child in children { try child.join() }
        #expect(count.load() == 30_000)
        #expect(small.load() == 0)
    }

    @Test func `atomic operations return the value before and after`() throws {
        let value = try SharedAtomic(5)
        #expect(value.add(2) == (5, 7))
        #expect(value.wrappingSubtract(10) == (7, -3))
        #expect(value.min(-5) == (-3, -5) && value.max(9) == (-5, 9))
        #expect(value.bitwiseAnd(8) == (9, 8) && value.bitwiseOr(3) == (8, 11) && value.bitwiseXor(1) == (11, 10))
        #expect(value.exchange(1) == 10)
        #expect(value.compareExchange(expected: 2, desired: 3) == (false, 1))
        #expect(value.compareExchange(expected: 1, desired: 3) == (true, 1))
        value.store(4)
        #expect(value.load() == 4 && "\(value)" == "SharedAtomic(4)")
        let narrow = try SharedAtomic(Int16.max)
        #expect(narrow.wrappingAdd(1) == (Int16.max, Int16.min))
        let flag = try SharedAtomic(false)
        #expect(flag.exchange(true) == false && flag.load())
        let real = try SharedAtomic(1.5)
        #expect(real.compareExchange(expected: 1.5, desired: -2) == (true, 1.5) && real.load() == -2)
    }
}
