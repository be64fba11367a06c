// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Measuring
internal import Multiprocessing

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
            "50,000 appends awaited together, by a child task each (CPython: one after the other)",
            unit: .perSecond,
            kind: .rate,
            peers: [.cpython]
        ) { _ in [try appendTogether()] },
        Metric(
            "manager.async.rate",
            "50,000 appends under way together, then all their results, by one thread",
            unit: .perSecond,
            kind: .rate,
            peers: []
        ) { _ in [try appendUnderWay()] },
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
        let done = try Event()
        let (start, seconds) = (Clock.now, try SharedValue(0.0))
        Task {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<pipelined { group.addTask { try await list.append(number) } }
                try await group.waitForAll()
            }
            seconds.value = Double(Clock.now - start) / 1e9
            done.set()
        }
        guard try done.wait(timeout: .seconds(60)), try list.count() == pipelined + 1 else {
            throw MeasuringError("the appends were not done")
        }
        return Double(pipelined) / seconds.value
    }
}
