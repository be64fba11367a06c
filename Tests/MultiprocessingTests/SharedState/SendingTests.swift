// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

import struct Foundation.Data
import class Foundation.JSONDecoder
import class Foundation.JSONEncoder
import class Foundation.PropertyListEncoder

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

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
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
        #expect(try ready.acquire(timeout: .seconds(60)))
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

    @Test(arguments: HandleKind.allCases)
    fileprivate func `a handle cannot be written to or read from a file`(_ kind: HandleKind) throws {
        let manager = kind.isManaged ? try Manager() : nil
        defer { try? manager?.shutdown() }
        try expectRefused(try kind.make(manager), json: kind.json)
    }

    /// Expects Foundation's encoders and decoders to say that such a handle is only for processes of this program.
    private func expectRefused<Handle: Codable>(_ handle: Handle, json: String) throws {
        func isClear(_ error: any Error) -> Bool {
            guard let error = error as? HandleNotPortable else { return false }
            // What is in a manager is a `Managed`, by whatever name.
            return ["\(Handle.self)", "Managed"].contains { error.typeName.hasPrefix($0) }
                && "\(error)".hasPrefix(error.typeName)
                && "\(error)".contains("it can only be sent to processes of this machine and user")
        }
        #expect { try JSONEncoder().encode(handle) } throws: { isClear($0) }
        #expect { try JSONEncoder().encode(["inside": [handle]]) } throws: { isClear($0) }
        // This one puts the error into one of its own.
        #expect { try PropertyListEncoder().encode([handle]) } throws: {
            guard case EncodingError.invalidValue(_, let context)? = $0 as? EncodingError else { return false }
            return context.underlyingError.map(isClear) == true
        }
        #expect { try JSONDecoder().decode(Handle.self, from: Data(json.utf8)) } throws: { isClear($0) }
    }

    @Test func `what is something else is not decoded`() throws {
        let lock = try Lock()
        #expect(throws: (any Error).self) { try copy(Disguise(handle: lock)).event }
        #expect(throws: (any Error).self) { try copy(Disguise(handle: try SharedValue(Int32(1)))).value }
    }
}

/// A type of handle.
private enum HandleKind: CaseIterable {
    case lock, recursiveLock, semaphore, boundedSemaphore, condition, event, barrier, barrierWithAction
    case sharedValue, sharedArray, sharedAtomic, sharedMemory, shareableList
    case queue, joinableQueue, simpleQueue, connection
    case managed, managedList, managedDictionary, managedSet, namespace

    /// Whether it is a handle of something in a manager.
    var isManaged: Bool {
        switch self {
        case .managed, .managedList, .managedDictionary, .managedSet, .namespace: true
        default: false
        }
    }

    /// What a decoder might find where such a handle should be.
    var json: String {
        switch self {
        case .condition, .barrier, .barrierWithAction: #"{"state": 0}"#
        case .sharedMemory, .shareableList: #"{"memory": 0}"#
        case .queue, .joinableQueue, .simpleQueue, .connection: "[0, 1, 0]"
        default: "0"
        }
    }

    /// Makes one.
    ///
    /// - Parameter manager: Where its value is, for one in a manager.
    func make(_ manager: Manager?) throws -> any Codable {
        if let manager { return try makeManaged(manager) }
        switch self {
        case .lock: return try Lock()
        case .recursiveLock: return try RecursiveLock()
        case .semaphore: return try Semaphore(value: 1)
        case .boundedSemaphore: return try BoundedSemaphore(value: 1)
        case .condition: return try Condition()
        case .event: return try Event()
        case .barrier: return try Barrier(parties: 1)
        case .barrierWithAction: return try Barrier(parties: 1, timeout: .seconds(1)) {}
        case .sharedValue: return try SharedValue(0)
        case .sharedArray: return try SharedArray<Double>(count: 3)
        case .sharedAtomic: return try SharedAtomic(0)
        case .sharedMemory: return try SharedMemory(size: 10)
        case .shareableList: return try ShareableList([0])
        case .queue: return try Queue<Int>()
        case .joinableQueue: return try JoinableQueue<Int>()
        case .simpleQueue: return try SimpleQueue<Int>()
        default: return try Connection.pipe().0
        }
    }

    private func makeManaged(_ manager: Manager) throws -> any Codable {
        switch self {
        case .managedList: try manager.list([1])
        case .managedDictionary: try manager.dictionary(["a": 1])
        case .managedSet: try manager.set([1])
        case .namespace: manager.names
        default: try manager.host { 1 }
        }
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
