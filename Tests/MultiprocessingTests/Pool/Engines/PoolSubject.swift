// SPDX-License-Identifier: Apache-2.0

import MultiprocessingFunctions
import Testing

@testable import Multiprocessing

/// A place where a pool's tasks can run, for tests that hold for all of them.
enum PoolSubject: Codable, Hashable, Sendable, CustomTestStringConvertible {
    case processes
    /// A process for every task.
    case freshProcesses
    case threads
    case caller
    /// The engine for tests, without faults.
    case test
    /// The engine for tests, with all of its faults.
    case faulty(seed: UInt64)

    static let all: [PoolSubject] = faithful + faulty

    /// Those where what is told happens at once and once.
    static let faithful: [PoolSubject] = [.processes, .freshProcesses, .threads, .caller, .test]

    /// Those whose workers are at work while the caller does something else, and begin what waits in its order.
    static let atWork: [PoolSubject] = [.processes, .freshProcesses, .threads]

    /// Those whose workers can die.
    static let mortal: [PoolSubject] = [.processes, .freshProcesses]

    /// Those where nothing happens as it should.
    static let faulty: [PoolSubject] = (1...4).map { .faulty(seed: $0) }

    var testDescription: String {
        switch self {
        case .processes: "processes"
        case .freshProcesses: "a process for every task"
        case .threads: "threads"
        case .caller: "the caller's thread"
        case .test: "the test engine"
        case .faulty(let seed): "the test engine with faults, seed \(seed)"
        }
    }

    private var engine: any ExecutionEngine {
        switch self {
        case .processes, .freshProcesses: LocalEngine()
        case .threads: ThreadEngine()
        case .caller: InlineEngine()
        case .test: TestEngine()
        case .faulty(let seed): TestEngine(seed: seed, faults: .all)
        }
    }

    /// What the calls of a test need so that they succeed: where attempts are lost, more of them.
    var options: TaskOptions {
        if case .faulty = self { return TaskOptions(retries: 1000) }
        return TaskOptions()
    }

    /// A number of items that takes no longer than the test: fewer where each costs a process.
    func atMost(_ count: Int) -> Int { self == .freshProcesses ? min(count, 40) : count }

    /// Calls `body` with a pool, and ends it.
    func withPool(
        workers: Int = 2,
        initializer: (@Sendable () throws -> Void)? = nil,
        limits: QueueLimit = QueueLimit(),
        _ body: (Pool) throws -> Void
    ) throws {
        var specification = WorkerSpecification(count: workers)
        if self == .freshProcesses { specification.isolatesTasks() }
        if let initializer {
            specification.initializer = try FunctionTable().function(
                PortableFunction(action: initializer),
                isMapping: false
            )
        }
        let pool = try Pool(engine, specification, limits)
        defer {
            pool.terminate()
            try? pool.join()
        }
        try body(pool)
    }
}

/// Calls `body` and returns the error of type `E` that it throws.
func thrown<E: Error>(_ type: E.Type = E.self, line: Int = #line, _ body: () throws -> Void) throws -> E {
    do {
        try body()
    } catch let error as E {
        return error
    }
    throw CheckFailed(description: "line \(line): nothing was thrown")
}
