// SPDX-License-Identifier: Apache-2.0

internal import Dispatch
internal import Glibc
internal import Measuring
internal import Multiprocessing
internal import Synchronization

/// What calls of a manager cost.
enum ManagerMetrics {
    /// How many calls are under way at once.
    private static let pipelined = 50_000

    /// The metrics of this group.
    static let all = [
        Metric(
            "manager.append",
            "append an Int to a list in a manager, one call after the other",
            unit: .microseconds,
            kind: .operation,
            peers: [.cpython, .limits]
        ) { context in
            let manager = try Manager()
            let list = try manager.list(of: Int.self)
            defer { try? manager.shutdown() }
            return try context.sampling.times(batch: 10) { try list.append(1) }
        },
        Metric(
            "manager.closure",
            "call a function without captures on a value in a manager, one call after the other",
            unit: .microseconds,
            kind: .operation,
            peers: []
        ) { context in
            let manager = try Manager()
            let number = try manager.host { 0 }
            defer { try? manager.shutdown() }
            return try context.sampling.times(batch: 10) { try number.withValue { $0 += 1 } }
        },
        Metric(
            "manager.create",
            "make an empty list in a manager and let go of it, one after the other",
            unit: .microseconds,
            kind: .operation,
            peers: [.cpython]
        ) { context in
            let manager = try Manager()
            defer { try? manager.shutdown() }
            return try context.sampling.times(batch: 10) { _ = try manager.list(of: Int.self) }
        },
        Metric(
            "manager.pipelined.rate",
            "50,000 appends under way together, then all their results (CPython: one after the other)",
            unit: .perSecond,
            kind: .rate,
            peers: [.cpython]
        ) { _ in [try appendUnderWay()] },
        Metric(
            "manager.tasks.rate",
            "the same, each awaited by a child task; TaskGroup: child tasks that a thread resumes, and nothing else",
            unit: .perSecond,
            kind: .rate,
            peers: [],
            others: [.taskGroup: { _ in [try resumeTogether()] }]
        ) { _ in [try appendTogether()] },
    ]

    /// Returns how many appends a second are done by a thread that asks for their results at the end.
    private static func appendUnderWay() throws -> Double {
        let manager = try Manager()
        let list = try manager.list(of: Int.self)
        defer { try? manager.shutdown() }
        try list.managed.withValue(with: 0) { $0.append($1) }
        let start = Clock.now
        let results = try (0..<pipelined).map { number in
            try list.managed.withValueAsync(with: number) { $0.append($1) }
        }
        for result in results { try result.get() }
        let seconds = Double(Clock.now - start) / 1e9
        guard try list.count() == pipelined + 1 else { throw MeasuringError("the appends were not done") }
        return Double(pipelined) / seconds
    }

    /// Returns how many appends a second are done by tasks that wait at the same time.
    private static func appendTogether() throws -> Double {
        let manager = try Manager()
        let list = try manager.list(of: Int.self)
        defer { try? manager.shutdown() }
        try list.append(0)
        let rate = try inChildTasks { try await list.append($0) }
        guard try list.count() == pipelined + 1 else { throw MeasuringError("the appends were not done") }
        return rate
    }

    /// Returns how many child tasks a second can wait and be resumed: what is left of it when a manager takes no time.
    private static func resumeTogether() throws -> Double {
        let resumer = Resumer()
        return try inChildTasks { _ in await withUnsafeContinuation { resumer.resume($0) } }
    }

    /// Returns how many times a second `body` is done in a child task for each.
    private static func inChildTasks(_ body: @escaping @Sendable (Int) async throws -> Void) throws -> Double {
        let done = try Event()
        let (start, seconds) = (Clock.now, try SharedValue(0.0))
        Task {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<pipelined { group.addTask { try await body(number) } }
                try await group.waitForAll()
            }
            seconds.value = Double(Clock.now - start) / 1e9
            done.set()
        }
        guard try done.wait(timeout: .seconds(60)) else { throw MeasuringError("the tasks did not end") }
        return Double(pipelined) / seconds.value
    }
}

/// Resumes tasks on another thread, as many at once as have come meanwhile.
private final class Resumer: Sendable {
    private let waiting = Mutex<[UnsafeContinuation<Void, Never>]>([])
    private let queue = DispatchQueue(label: "resumer")

    func resume(_ continuation: UnsafeContinuation<Void, Never>) {
        let isFirst = waiting.withLock { waiting in
            waiting.append(continuation)
            return waiting.count == 1
        }
        guard isFirst else { return }
        queue.async { [self] in
            let all = waiting.withLock { waiting in
                defer { waiting = [] }
                return waiting
            }
            for continuation in all { continuation.resume() }
        }
    }
}
