// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing

/// One of each of what processes share.
struct Everything: Codable, Sendable {
    let lock: Lock
    let recursiveLock: RecursiveLock
    let semaphore: Semaphore
    let boundedSemaphore: BoundedSemaphore
    let condition: Condition
    let event: Event
    let barrier: Barrier
    let value: SharedValue<Int>
    let array: SharedArray<Int>
    let atomic: SharedAtomic<Int>
    let memory: SharedMemory
    let list: ShareableList
    let queue: Queue<[UInt8]>
    let joinableQueue: JoinableQueue<[UInt8]>
    let simpleQueue: SimpleQueue<[UInt8]>
    let ends: [Connection]

    /// Makes them.
    init() throws {
        lock = try Lock()
        recursiveLock = try RecursiveLock()
        semaphore = try Semaphore(value: 1)
        boundedSemaphore = try BoundedSemaphore(value: 1)
        condition = try Condition()
        event = try Event()
        barrier = try Barrier(parties: 2) {}
        value = try SharedValue(0)
        array = try SharedArray(count: 1000)
        atomic = try SharedAtomic(0)
        memory = try SharedMemory(size: 1 << 20)
        list = try ShareableList(["text", 1])
        queue = try Queue()
        joinableQueue = try JoinableQueue()
        simpleQueue = try SimpleQueue()
        let pipe = try Connection.pipe()
        ends = [pipe.0, pipe.1]
    }

    /// Sends through each of the channels what is small and what travels in memory of its own, and takes it out again.
    func use() throws {
        for size in [10, 1 << 20] {
            let bytes = [UInt8](repeating: 1, count: size)
            try queue.put(bytes)
            try joinableQueue.put(bytes)
            try simpleQueue.put(bytes)
            _ = try (queue.get(), joinableQueue.get(), simpleQueue.get())
            try joinableQueue.taskDone()
        }
        try lock.withLock { try value.withLock { $0 += 1 } }
        try condition.withLock { try condition.notifyAll() }
        atomic.add(1)
    }
}

/// Has children of each method, a pool, a manager and a listener use everything, tells so, and makes more until somebody ends it.
func useEverything() throws {
    let shared = try Everything()
    let ready = try Semaphore(value: 0)
    for method in [StartMethod.fork, .forkServer, .spawn] {
        for isDaemon in [true, false] {
            let child = ChildProcess(daemon: isDaemon, startMethod: method) {
                try shared.use()
                let own = try Everything()
                try ready.release()
                // One of them has its hands full when it is killed.
                while isDaemon, method == .forkServer { try own.use() }
                sleepForever()
            }
            try child.start()
        }
    }
    for _ in 0..<6 { try ready.acquire() }
    let pool = try Pool(processes: 2)
    let sizes = try pool.map([1 << 10, 1 << 20]) { [UInt8](repeating: 1, count: $0) }.map(\.count)
    let manager = try Manager()
    let numbers = try manager.list(sizes)
    let listener = try Listener()
    let caller = ChildProcess(daemon: true) { [address = listener.address] in
        let connection = try Connection.connect(to: address)
        try connection.send(1)
        sleepForever()
    }
    try caller.start()
    let connection = try listener.accept()
    let number = try connection.receive(Int.self)
    // Its name is its user's, and gone before anybody is killed.
    let named = try SharedMemory(name: "mp-everything", create: true, size: 1 << 12)
    try named.unlink()
    tell("ready \(sizes.count + number) \(try numbers.count())")
    while true { try Everything().use() }
}
