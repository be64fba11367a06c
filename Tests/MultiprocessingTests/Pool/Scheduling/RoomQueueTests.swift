// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Multiprocessing

/// Who waits for room in a pool's queue, and when he is called.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct RoomQueueTests {
    @Test func `as many are called as there is room for, in the order they came`() {
        var queue = RoomQueue<Int>()
        var places: [RoomQueue<Int>.Place] = []
        for number in 0..<6 { places.append(enter(number, &queue)) }
        #expect(queue.call(tasks: 2, bytes: 100) == [0, 1])
        // They have not come yet: the room is theirs, as far as others in line are concerned.
        #expect(queue.call(tasks: 2, bytes: 100) == [])
        #expect(queue.call(tasks: 3, bytes: 100) == [2])
        queue.leave(places[1])
        #expect(queue.call(tasks: 3, bytes: 100) == [3])
        #expect(queue.isWaiting)
        #expect(queue.call(tasks: .max, bytes: .max) == [4, 5])
        #expect(!queue.isWaiting)
    }

    @Test func `who was called and found no room is the first again`() {
        var queue = RoomQueue<Int>()
        var place: RoomQueue<Int>.Place? = enter(0, &queue)
        _ = enter(1, &queue)
        #expect(queue.call(tasks: 1, bytes: 1) == [0])
        queue.wait(10, bytes: 1, at: &place)
        // Woken for another reason, he keeps his place as well.
        queue.wait(20, bytes: 1, at: &place)
        #expect(queue.call(tasks: 2, bytes: 2) == [20, 1])
    }

    @Test func `where bytes are short, as many are called as they are enough for`() {
        var queue = RoomQueue<Int>()
        var places: [RoomQueue<Int>.Place] = []
        for number in 0..<4 { places.append(enter(number, &queue, bytes: 60)) }
        // The last one may go beyond the limit, as one who submits does.
        #expect(queue.call(tasks: 100, bytes: 100) == [0, 1])
        queue.leave(places[0])
        #expect(queue.call(tasks: 100, bytes: 60) == [])
        queue.leave(places[1])
        #expect(queue.call(tasks: 100, bytes: 1) == [2])
    }

    @Test func `many who leave uncalled are forgotten`() {
        var queue = RoomQueue<Int>()
        _ = enter(-1, &queue)
        for number in 0..<10_000 { queue.leave(enter(number, &queue)) }
        _ = enter(-2, &queue)
        #expect(queue.call(tasks: .max, bytes: .max) == [-1, -2])
    }

    @Test(arguments: 1...30) func `the queue does as a plain list would`(seed: UInt64) throws {
        /// One who waits, as the model knows him.
        struct Waiter {
            var number: Int
            var place: RoomQueue<Int>.Place?
            let bytes: Int
        }
        var random = Seeded(seed: seed)
        var queue = RoomQueue<Int>()
        var (line, called): ([Waiter], [Waiter]) = ([], [])
        for step in 0..<5000 {
            switch Int.random(in: 0..<8, using: &random) {
            case 0..<3:
                var waiter = Waiter(number: step, bytes: Int.random(in: 0..<9, using: &random))
                queue.wait(step, bytes: waiter.bytes, at: &waiter.place)
                line.append(waiter)
            case 3:
                guard let index = called.indices.randomElement(using: &random) else { continue }
                var waiter = called.remove(at: index)
                waiter.number = step
                queue.wait(step, bytes: waiter.bytes, at: &waiter.place)
                line.insert(waiter, at: 0)
            case 4:
                guard let index = called.indices.randomElement(using: &random) else { continue }
                if let place = called.remove(at: index).place { queue.leave(place) }
            case 5:
                guard let index = line.indices.randomElement(using: &random) else { continue }
                if let place = line.remove(at: index).place { queue.leave(place) }
            default:
                let tasks = Int.random(in: 0..<6, using: &random)
                let bytes = Int.random(in: 0..<20, using: &random)
                var expected: [Int] = []
                while called.count < tasks, called.reduce(0, { $0 + $1.bytes }) < bytes, !line.isEmpty {
                    expected.append(line[0].number)
                    called.append(line.removeFirst())
                }
                try checkEqual(queue.call(tasks: tasks, bytes: bytes), expected, line: step)
            }
            try checkEqual(queue.isWaiting, !line.isEmpty, line: step)
        }
    }

    @Test(arguments: 1...30) func `nobody waits where there is room, whoever comes, goes or gives up`(
        seed: UInt64
    ) throws {
        var world = RoomWorld(seed: seed)
        for _ in 0..<5000 { try world.step() }
        try world.finish()
    }

    private func enter(_ number: Int, _ queue: inout RoomQueue<Int>, bytes: Int = 1) -> RoomQueue<Int>.Place {
        var place: RoomQueue<Int>.Place?
        queue.wait(number, bytes: bytes, at: &place)
        guard let place else { preconditionFailure("one who waits has a place") }
        return place
    }
}

/// A pool's queue with its limits, those who fill it and those who empty it, each at its own time.
private struct RoomWorld {
    private static let mostTasks = 4
    private static let mostBytes = 20

    /// One who submits something.
    private struct Caller {
        var place: RoomQueue<Int>.Place?
        let bytes: Int
        var isTold = false
    }

    private var random: Seeded
    private var queue = RoomQueue<Int>()
    private var callers: [Int: Caller] = [:]
    private var lastNumber = 0
    /// The sizes of what waits to be handed out.
    private var waiting: [Int] = []

    init(seed: UInt64) {
        random = Seeded(seed: seed)
    }

    private var bytes: Int { waiting.reduce(0, +) }
    private var hasRoom: Bool { waiting.count < Self.mostTasks && bytes < Self.mostBytes }
    /// Those who were told, in the order they came, so that a seed stands for the same course each time.
    private var arriving: [Int] { callers.keys.filter { callers[$0]?.isTold == true }.sorted() }

    mutating func step() throws {
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<4:
            lastNumber += 1
            // A newcomer takes the room that another was called for.
            try arrive(lastNumber, Caller(bytes: Int.random(in: 0..<12, using: &random)))
        case 4..<7: try take()
        case 7, 8:
            guard let number = arriving.randomElement(using: &random), let caller = callers[number] else { break }
            try arrive(number, caller)
        default:
            // Cancelled, told or not.
            guard let number = callers.keys.sorted().randomElement(using: &random) else { break }
            try leave(number)
        }
        try checkNobodyIsForgotten()
    }

    /// Lets all who are there be done.
    mutating func finish() throws {
        while !callers.isEmpty || !waiting.isEmpty {
            let isStuck = arriving.isEmpty && waiting.isEmpty
            try check(!isStuck, "\(callers.count) wait for nothing")
            for number in arriving {
                guard let caller = callers[number] else { continue }
                try arrive(number, caller)
            }
            try take()
            try checkNobodyIsForgotten()
        }
    }

    /// One comes who wants to submit: for the first time, or because he was told.
    private mutating func arrive(_ number: Int, _ caller: Caller) throws {
        var caller = caller
        guard hasRoom else {
            caller.isTold = false
            queue.wait(number, bytes: caller.bytes, at: &caller.place)
            callers[number] = caller
            return
        }
        waiting.append(caller.bytes)
        callers[number] = caller
        try tell()
        try leave(number)
    }

    private mutating func leave(_ number: Int) throws {
        guard let caller = callers.removeValue(forKey: number) else { return }
        if let place = caller.place { queue.leave(place) }
        try tell()
    }

    /// A worker takes what has waited longest.
    private mutating func take() throws {
        guard !waiting.isEmpty else { return }
        waiting.removeFirst()
        try tell()
    }

    /// Tells those who find room, and no more.
    private mutating func tell() throws {
        guard hasRoom else { return }
        let room = Self.mostTasks - waiting.count
        let before = arriving.count
        for number in queue.call(tasks: room, bytes: Self.mostBytes - bytes) { callers[number]?.isTold = true }
        try check(arriving.count <= max(before, room), "\(arriving.count) were told that there is room for \(room)")
    }

    private func checkNobodyIsForgotten() throws {
        guard hasRoom, queue.isWaiting else { return }
        let coming = arriving
        let size = coming.reduce(0) { $0 + (callers[$1]?.bytes ?? 0) }
        try check(
            coming.count >= Self.mostTasks - waiting.count || size >= Self.mostBytes - bytes,
            "\(coming.count) were called though there is room for \(Self.mostTasks - waiting.count)"
        )
    }
}
