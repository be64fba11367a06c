// SPDX-License-Identifier: Apache-2.0
//
// One attempt at a time waits here until somebody runs it: a thread that blocks for a result, or that has submitted something without waiting. Asynchronous functions may also be run by the pool's own thread, for callers
// that are tasks themselves and must not block.

internal import CMultiprocessing
internal import MultiprocessingPrimitives

/// The tasks of a pool without workers.
///
/// `@unchecked Sendable` is safe because everything that changes is used under the pool's lock only.
final class InlineSession: EngineSession, @unchecked Sendable {
    /// What the pool is to be told.
    private enum News {
        case answered(UInt64, Int, LocalAnswer)
        case finished(UInt64, LocalAnswer, Int64)
        case lost(UInt64, Loss)
        case broke(any Error)
    }

    private let specification: WorkerSpecification
    private let faintHost: FaintReference
    /// The pool, unless it is gone.
    private var host: (any EngineHost)? { faintHost.object as? any EngineHost }
    private var queue = FIFO<(task: LocalTask, isAsync: Bool)>()
    private var news: [News] = []
    /// Decodes functions to see what they are.
    private let inspector = TaskRunner()
    private var initializer: TaskFunction?
    private var isClosing = false
    private var finished = 0
    private var busy: Int64 = 0
    private let started = mp_now()
    private var running = 0

    init(_ specification: WorkerSpecification, host: any EngineHost) {
        self.specification = specification
        faintHost = FaintReference(host)
        initializer = specification.initializer
    }

    // MARK: - Tasks

    var parallelism: Int { 1 }

    var wantsTasks: Bool { queue.isEmpty && !isClosing }

    func submit(_ task: TaskEnvelope) {
        queue.append((LocalTask(task), inspector.isAsync(task.function)))
    }

    func rebalance(_ events: any EngineEvents) {}

    func cancel(_ ticket: UInt64, kill: Bool) {
        guard queue.first?.task.ticket == ticket else { return }
        queue.popFirst()
        news.append(.lost(ticket, .notBegun))
    }

    func hasTask(for caller: EngineCaller) -> Bool {
        guard let next = queue.first else { return false }
        switch caller {
        case .blocking: return true
        case .passing: return !next.isAsync
        case .poolThread: return next.isAsync
        }
    }

    func runTask(for caller: EngineCaller) {
        guard let host else { return }
        let next = host.withLock { () -> (task: LocalTask, initializer: TaskFunction?)? in
            guard hasTask(for: caller), let next = queue.popFirst() else { return nil }
            running += 1
            defer { initializer = nil }
            return (next.task, initializer)
        }
        guard let next else { return }
        if let initializer = next.initializer {
            do {
                try TaskRunner().initialize(initializer)
            } catch {
                return host.withLock {
                    running -= 1
                    news += [.broke(error), .lost(next.task.ticket, .notBegun)]
                }
            }
        }
        run(next.task, host)
    }

    /// Carries out an attempt. One that took too long fails, though only afterwards.
    private func run(_ task: LocalTask, _ host: any EngineHost) {
        let start = mp_now()
        var since = start
        var isLate = false
        func checkTime() -> Bool {
            let end = task.timeout.map { Deadline(timeout: $0).nanoseconds &- mp_now() &+ since }
            isLate = end.map { $0 < mp_now() } ?? false
            since = mp_now()
            return !isLate
        }
        let answer = TaskRunner().run(task) { piece, answer in
            guard let answer else { return true }
            guard checkTime() else { return false }
            host.withLock { news.append(.answered(task.ticket, piece, answer)) }
            return true
        }
        if !task.isElementwise { _ = checkTime() }
        let time = mp_now() - start
        host.withLock {
            running -= 1
            finished += 1
            busy += time
            news.append(isLate ? .lost(task.ticket, .timedOut) : .finished(task.ticket, answer, time))
        }
    }

    // MARK: - News

    var hasNews: Bool { !news.isEmpty }

    func poll(_ events: any EngineEvents) {
        let current = news
        news = []
        for item in current {
            switch item {
            case .answered(let ticket, let piece, let answer):
                answer.withEnvelope(nanoseconds: 0, worker: "") { events.answered(ticket, piece: piece, $0) }
            case .finished(let ticket, let answer, let time):
                answer.withEnvelope(nanoseconds: time, worker: "") { events.finished(ticket, $0) }
            case .lost(let ticket, let loss): events.lost(ticket, loss)
            case .broke(let error): events.broke(error)
            }
        }
    }

    func wait(until deadline: Deadline) {
        runTask(for: .poolThread)
    }

    func wake() {}

    // MARK: - Nothing to keep up

    func scale(to count: Int) {}

    var needsMaintenance: Bool { false }

    var maintenanceDeadline: Deadline { .never }

    func maintain() {}

    func close(drain: Bool) {
        isClosing = true
        if !drain { queue = FIFO() }
    }

    var isEmpty: Bool { isClosing && queue.isEmpty }

    var restarts: Int { 0 }

    var statistics: [PoolStatistics.Worker] {
        [
            PoolStatistics.Worker(
                name: "caller",
                processIdentifier: nil,
                tasks: finished,
                busy: .nanoseconds(busy),
                idle: .nanoseconds(max(0, mp_now() - started - busy)),
                restarts: 0,
                resident: 0,
                isBusy: running > 0
            )
        ]
    }
}
