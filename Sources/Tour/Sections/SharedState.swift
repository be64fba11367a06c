// SPDX-License-Identifier: Apache-2.0

internal import Multiprocessing

// MARK: - 9. Shared memory: SharedValue

/// Lets a process change an integer that both share, and prints it. The tutorial's `val.value += 1` works too, but is safe only while nobody else writes.
func sharedMemory() throws {
    let value = try SharedValue(0)
    let process = ChildProcess { try value.withLock { $0 += 1 } }
    try process.start()
    try process.join()
    print(value.value)
}

// MARK: - 10. No race conditions: Lock

/// Adds one to `counter` while nobody else can.
@Sendable private func increment(_ counter: SharedValue<Int>, _ lock: Lock) throws {
    try lock.withLock { counter.value += 1 }
}

/// Lets five processes count at the same time, with a lock around each step, and prints where they got to.
func locks() throws {
    let counter = try SharedValue(0)
    let lock = try Lock()
    let processes = (0..<5).map { _ in ChildProcess(target: increment, arguments: counter, lock) }
    for process in processes {
        try process.start()
    }
    for process in processes {
        try process.join()
    }
    print("Final Counter:", counter.value)
}

// MARK: - 11. Shared data structures: Manager

/// Adds an element to a list that other processes see as well.
@Sendable private func addItem(_ list: ManagedList<String>) throws {
    try list.append("Hello")
}

/// Lets a process add to a list in a manager, and prints the list.
func managers() throws {
    let manager = try Manager()
    let list = try manager.list(of: String.self)
    let process = ChildProcess(target: addItem, arguments: list)
    try process.start()
    try process.join()
    print(try list.value())
}
