// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

import struct Foundation.Data
import class Foundation.JSONDecoder
import class Foundation.JSONEncoder

/// Handles of every kind as part of a program's own value.
private struct Tools: Codable, Sendable {
    var name = "tools"
    var lock: Lock
    var recursive: RecursiveLock
    var semaphore: Semaphore
    var bounded: BoundedSemaphore
    var condition: Condition
    var event: Event
    var barrier: Barrier
    var value: SharedValue<Int>
    var array: SharedArray<Double>
    var atomic: SharedAtomic<Int>
    var memory: SharedMemory
    var list: [ShareableList?]

    init() throws {
        lock = try Lock()
        recursive = try RecursiveLock()
        semaphore = try Semaphore(value: 1)
        bounded = try BoundedSemaphore(value: 1)
        condition = try Condition(lock: lock)
        event = try Event()
        barrier = try Barrier(parties: 1, timeout: .seconds(5))
        value = try SharedValue(0)
        array = try SharedArray<Double>(count: 3)
        atomic = try SharedAtomic(0)
        memory = try SharedMemory(size: 10)
        list = [try ShareableList([0]), nil]
    }

    /// Does something with each.
    func use() throws {
        try lock.withLock { array[0] += 1 }
        try recursive.withLock { array[1] += 1 }
        try semaphore.release()
        try bounded.acquire()
        try condition.withLock { try condition.notifyAll() }
        event.set()
        try barrier.wait()
        try value.withLock { $0 += 1 }
        atomic.wrappingAdd(1)
        memory.withUnsafeMutableBytes { $0[9] += 1 }
        try list[0]?.replaceElement(at: 0, with: .integer(Int64(atomic.load())))
    }

    /// What `use` leaves after so many calls.
    func expectUsed(_ count: Int) {
        #expect(Array(array) == [Double(count), Double(count), 0])
        #expect(semaphore.value == 1 + count && event.isSet && !barrier.isBroken)
        #expect(value.value == count && atomic.load() == count)
        #expect(memory.withUnsafeMutableBytes { $0[9] } == UInt8(count))
        #expect(list[0]?[0].integer == count)
    }
}

@Suite(.timeLimit(.minutes(10)), .leavesNothing)
struct SendingTests {
    @Test(arguments: [StartMethod.forkServer, .spawn])
    func `handles reach a child as captures, as arguments and inside other values`(method: StartMethod) throws {
        let tools = try Tools()
        let capturing = ChildProcess(startMethod: method) { try tools.use() }
        try capturing.start()
        try capturing.join()
        tools.expectUsed(1)
        try tools.bounded.release()

        let child = ChildProcess(
            target: { (tools: Tools, count: SharedAtomic<Int>) in
                try tools.use()
                count.wrappingAdd(10)
            },
            arguments: tools,
            tools.atomic,
            startMethod: method
        )
        try child.start()
        try child.join()
        #expect(tools.atomic.load() == 12 && tools.array[0] == 2)
    }

    @Test func `handles reach a forked child, which inherits them`() throws {
        let tools = try Tools()
        // The test process itself runs tasks; a fresh child may fork.
        try ChildProcess.run {
            try tools.lock.withLock {}
            let child = ChildProcess(startMethod: .fork) { try tools.use() }
            try child.start()
            try child.join()
            try tools.lock.withLock {}
        }
        tools.expectUsed(1)
    }

    @Test func `nothing is left when every process that had handles was killed`() throws {
        let ready = try Semaphore(value: 0)
        let files = try SharedArray<UInt64>(count: 100)
        let child = ChildProcess {
            let before = memoryFiles(of: getpid())
            let tools = try Tools()
            for (index, file) in memoryFiles(of: getpid()).subtracting(before).enumerated() { files[index] = file }
            let grandchildren = (0..<2).map { _ in
                ChildProcess(daemon: true) {
                    try tools.lock.withLock {
                        try ready.release()
                        try tools.event.wait()
                    }
                }
            }
            for grandchild in grandchildren { try grandchild.start() }
            try tools.event.wait()
        }
        try child.start()
        #expect(try ready.acquire(timeout: .seconds(20)))
        try child.kill()
        try child.join()
        let made = Set(files).subtracting([0])
        #expect(made.count >= 10)
        // The last of them is gone a moment after its death can be seen.
        try checkEventually("nobody has any of the memory") {
            Proc.entries("/proc").compactMap { Int32($0) }.allSatisfy { memoryFiles(of: $0).isDisjoint(with: made) }
        }
    }

    @Test func `handles reach grandchildren, and stay alive with their last user`() throws {
        let value = try ChildProcess.run {
            let value = try SharedValue(1)
            let lock = try Lock()
            try ChildProcess.run { try lock.withLock { value.value = 2 } }
            try ChildProcess.run { try ChildProcess.run { try lock.withLock { try value.withLock { $0 += 1 } } } }
            return value.value
        }
        #expect(value == 3)
    }

    @Test func `a handle made in a child comes back as a result and outlives it`() throws {
        let array = try ChildProcess.run { try SharedArray([1, 2, 3]) }
        #expect(Array(array) == [1, 2, 3])
        let (lock, event) = try ChildProcess.run { Pair(first: try Lock(), second: try Event()) }.both
        try lock.withLock { event.set() }
        #expect(event.isSet)
    }

    @Test func `a condition and another handle on its lock stay together`() throws {
        let tools = try Tools()
        try ChildProcess.run {
            try tools.lock.acquire()
            try tools.condition.notify()
            try tools.condition.release()
        }
        #expect(!tools.lock.isLocked)
    }

    @Test func `a handle cannot be written to or read from a file`() throws {
        let tools = try Tools()
        let handles: [any Codable] = [
            tools.lock, tools.recursive, tools.semaphore, tools.bounded, tools.condition, tools.event, tools.barrier,
            tools.value, tools.array, tools.atomic, tools.memory, tools.list,
        ]
        for handle in handles {
            #expect { try JSONEncoder().encode(handle) } throws: {
                guard let error = $0 as? HandleNotPortable else { return false }
                return "\(error)".contains(error.typeName) && "\(error)".contains("processes of this program")
            }
        }
        #expect(throws: HandleNotPortable.self) { try JSONDecoder().decode(Lock.self, from: Data("0".utf8)) }
    }

    @Test func `what is something else is not decoded`() throws {
        let lock = try Lock()
        #expect(throws: (any Error).self) { try copy(Disguise(handle: lock)).event }
        #expect(throws: (any Error).self) { try copy(Disguise(handle: try SharedValue(Int32(1)))).value }
    }
}

/// Two handles as one result.
private struct Pair<First: Codable & Sendable, Second: Codable & Sendable>: Codable, Sendable {
    let first: First
    let second: Second

    var both: (First, Second) { (first, second) }
}

/// Encodes one kind of handle and decodes another.
private struct Disguise: Codable {
    var handle: any Codable
    var event: Event?
    var value: SharedValue<Int>?

    init(handle: any Codable) {
        self.handle = handle
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.unkeyedContainer()
        try container.encode(handle is Lock)
        try handle.encode(to: container.superEncoder())
    }

    init(from decoder: any Decoder) throws {
        var container = try decoder.unkeyedContainer()
        let isLock = try container.decode(Bool.self)
        let nested = try container.superDecoder()
        handle = 0
        if isLock { event = try Event(from: nested) } else { value = try SharedValue<Int>(from: nested) }
    }
}

/// The memory files without a name that a process has mapped, by the kernel's numbers for them.
private func memoryFiles(of process: Int32) -> Set<UInt64> {
    Set(
        // "7f…-7f… rw-s 00000000 00:01 1234   /memfd:name (deleted)"
        Proc.lines("/proc/\(process)/maps").filter { $0.contains("/memfd:multiprocessing") }.compactMap { line in
            let parts = line.split(separator: " ")
            return parts.count > 4 ? UInt64(parts[4]) : nil
        }
    )
}
