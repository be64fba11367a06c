// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// A handle of every kind.
private struct Everything: Codable, Sendable {
    let lock: Lock
    let recursive: RecursiveLock
    let semaphore: Multiprocessing.Semaphore
    let bounded: BoundedSemaphore
    let condition: Condition
    let event: Event
    let barrier: Barrier
    let value: SharedValue<Int>
    let array: SharedArray<Double>
    let atomic: SharedAtomic<Int>
    let memory: SharedMemory
    let list: ShareableList
    let queue: Queue<Int>
    let joinable: JoinableQueue<Int>
    let simple: SimpleQueue<Int>
    let connection: Connection

    init(connection: Connection) throws {
        lock = try Lock()
        recursive = try RecursiveLock()
        semaphore = try Semaphore(value: 0)
        bounded = try BoundedSemaphore(value: 1)
        condition = try Condition(lock: lock)
        event = try Event()
        barrier = try Barrier(parties: 1)
        value = try SharedValue(0)
        array = try SharedArray<Double>(count: 1)
        atomic = try SharedAtomic(0)
        memory = try SharedMemory(size: 1)
        list = try ShareableList([0])
        queue = try Queue(capacity: 5)
        joinable = try JoinableQueue()
        simple = try SimpleQueue()
        self.connection = connection
    }

    /// Does something with each that the sender can see.
    func use() throws {
        try lock.withLock { array[0] += 1 }
        try recursive.withLock { try value.withLock { $0 += 1 } }
        try semaphore.release()
        try bounded.acquire()
        try condition.withLock { try condition.notifyAll() }
        try barrier.wait()
        atomic.wrappingAdd(1)
        memory.withUnsafeMutableBytes { $0[0] += 1 }
        try list.replaceElement(at: 0, with: 1)
        try queue.put(1)
        try joinable.put(2)
        try joinable.taskDone()
        try simple.put(3)
        try connection.send("used")
        event.set()
    }

    /// Throws unless `use` was called somewhere.
    func checkUsed() throws {
        try event.wait()
        try checkEqual(Array(array), [1])
        try checkEqual(value.value, 1)
        try checkEqual([semaphore.value, bounded.value, atomic.load()], [1, 0, 1])
        try checkEqual(memory.withUnsafeMutableBytes { $0[0] }, 1)
        try checkEqual(try [queue.get(), joinable.get(), simple.get()], [1, 2, 3])
        try checkEqual(joinable.unfinishedCount, 0)
    }
}

/// Handles as messages and in messages (python-like "picklable" handles, at any time and in both directions).
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct HandleTravelTests {
    @Test(arguments: [StartMethod.forkServer, .spawn])
    func `every handle works where it was received, through a connection and through a queue`(
        method: StartMethod
    )
        async throws
    {
        try await isolated {
            let (here, there) = try Connection.pipe()
            let queue = try Queue<Everything>()
            let child = ChildProcess(startMethod: method) {
                let first: Everything = try there.receive()
                try first.use()
                try queue.get().use()
            }
            try child.start()
            there.close()
            for throughQueue in [false, true] {
                let (near, far) = try Connection.pipe()
                let sent = try Everything(connection: far)
                if throughQueue { try queue.put(sent) } else { try here.send(sent) }
                far.close()
                try sent.checkUsed()
                try checkEqual(try near.receive(String.self), "used")
            }
            try child.join()
            try checkEqual(child.exitCode, 0)
            try child.close()
        }
    }

    @Test func `handles come back, and pass through several processes`() async throws {
        try await isolated {
            let (here, there) = try Connection.pipe()
            let relay = try Queue<Connection>()
            let first = ChildProcess { try relay.put(try there.receive(Connection.self)) }
            let second = ChildProcess { try relay.get().send(try Lock()) }
            for child in [first, second] { try child.start() }
            let (near, far) = try Connection.pipe()
            try here.send(far)
            far.close()
            // Made in the second child, which has ended by now perhaps.
            try near.receive(Lock.self).withLock {}
            for child in [first, second] {
                try child.join()
                try checkEqual(child.exitCode, 0)
                try child.close()
            }
        }
    }

    @Test func `one message carries more descriptors than one packet of the kernel`() async throws {
        try await isolated {
            let (here, there) = try Connection.pipe()
            let queue = try Queue<[SharedValue<Int>]>()
            let values = try (0..<300).map { try SharedValue($0) }
            let child = ChildProcess {
                for value in try there.receive([SharedValue<Int>].self) { value.value += 1 }
                for value in try queue.get() { value.value += 1 }
            }
            try child.start()
            try here.send(values)
            try queue.put(values)
            try child.join()
            try checkEqual(child.exitCode, 0)
            try child.close()
            try checkEqual(values.map(\.value), (0..<300).map { $0 + 2 })
        }
    }

    @Test func `a message whose descriptors find no room is an error, and the next one comes through`() async throws {
        try await isolated {
            let queue = try Queue<[Lock]>()
            try queue.put(try (0..<50).map { _ in try Lock() })
            try queue.put([])
            // Descriptors are given out from the lowest free number: five more fit.
            let next = dup(0)
            close(next)
            let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
            var before = rlimit()
            getrlimit(kind, &before)
            var few = rlimit(rlim_cur: rlim_t(next + 5), rlim_max: before.rlim_max)
            setrlimit(kind, &few)
            var isRefused = false
            do { _ = try queue.get() } catch { isRefused = true }
            setrlimit(kind, &before)
            try check(isRefused)
            try check(try queue.get().isEmpty)
        }
    }

    @Test func `a handle that is received as something else leaves no descriptor behind`() async throws {
        try await isolated {
            let (here, there) = try Connection.pipe()
            let queue = try Queue<Int>()
            let lock = try Lock()
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 16)
            defer { buffer.deallocate() }
            func receiveWrongly() throws {
                for _ in 0..<3 { try here.send(lock) }
                _ = try checkThrows(DecodingError.self) { _ = try there.receive(String.self) }
                _ = try checkThrows(DecodingError.self) { _ = try there.receive([UInt8].self) }
                try check(try there.receiveBytes(into: buffer) > 0)
                try here.send("in between")
                try checkEqual(try there.receive(), "in between")
                try queue.put(1)
                try checkEqual(try queue.get(), 1)
            }
            try receiveWrongly()
            let before = Proc.entries("/proc/self/fd").count
            for _ in 0..<50 { try receiveWrongly() }
            // Fewer where another thread had still to let go of what belongs to the first children.
            let after = Proc.entries("/proc/self/fd").count
            try check(after <= before, "\(before) descriptors became \(after)")
        }
    }
}
