// SPDX-License-Identifier: Apache-2.0
//
// Threads share one queue in front of them; each takes the next attempt when it has nothing to do. A thread cannot be ended from outside: one whose task was given up is left to itself, its place is taken by a new one, and
// it ends when it comes back.

internal import CMultiprocessing
internal import MultiprocessingPrimitives
internal import Synchronization

/// The threads of one pool and what they are given.
///
/// `@unchecked Sendable` is safe because everything that changes is in `state`. Its lock is taken inside the pool's, never the other way round.
final class ThreadSession: EngineSession, @unchecked Sendable {
    /// As much as the main thread has.
    private static let stackSize = 8 << 20

    /// What the pool is to be told.
    private enum News {
        case answered(UInt64, Int, LocalAnswer, String)
        case finished(UInt64, LocalAnswer, Int64, String)
        case lost(UInt64, Loss)
        /// A task whose thread was given up while it was at it.
        case abandoned(LocalTask)
        case broke(any Error)
    }

    private struct State {
        var queue = FIFO<LocalTask>()
        var workers: [ThreadWorker] = []
        var idle: [ThreadWorker] = []
        var news: [News] = []
        var target: Int
        var isClosing = false
        var starts = StartFailures()
        var restarts = 0
        /// What the threads had done that ended since the pool was closed.
        var departed: [PoolStatistics.Worker] = []
        /// For each thread that was given up and has no successor yet, how many were in its place with it.
        var vacancies: [Int] = []
        var lastNumber = 0
        /// Nanoseconds that an attempt takes, as far as is known.
        var taskTime: Double?
        var timer: Reactor.Token?
        var timerDeadline = Deadline.never

        /// How many threads are there, or on their way, that have nothing to do.
        var free: Int { workers.count { $0.task == nil } }

        /// How many attempts may wait in the queue, so that no thread waits for the pool: none that take long, since others may become more urgent.
        var depth: Int {
            guard let taskTime else { return 0 }
            return workers.count * min(63, Int(400_000 / max(taskTime, 1)))
        }

        /// Strikes a thread off the list, if it is there.
        mutating func remove(_ worker: ThreadWorker) {
            guard let index = workers.firstIndex(where: { $0 === worker }) else { return }
            workers.remove(at: index)
            if isClosing { departed.append(worker.statistics) }
        }
    }

    private let specification: WorkerSpecification
    private let state: Mutex<State>
    /// Wakes whoever waits for news.
    private let bell = PoolThread()
    /// Whether something besides news has happened since the last wait.
    private let changed = Atomic<Bool>(false)
    private let faintHost: FaintReference
    /// The pool, unless it is gone.
    private var host: (any EngineHost)? { faintHost.object as? any EngineHost }

    init(_ specification: WorkerSpecification, host: any EngineHost) {
        self.specification = specification
        faintHost = FaintReference(host)
        state = Mutex(State(target: specification.count))
    }

    // MARK: - Tasks

    var parallelism: Int { state.withLock { max(1, $0.target) } }

    var wantsTasks: Bool {
        state.withLock { !$0.starts.isOver && !$0.isClosing && $0.queue.count < $0.free + $0.depth }
    }

    func submit(_ task: TaskEnvelope) {
        let local = LocalTask(task)
        let worker = state.withLock { state in
            state.queue.append(local)
            return state.idle.popLast()
        }
        worker?.bell.wake()
    }

    func rebalance(_ events: any EngineEvents) {}

    func cancel(_ ticket: UInt64, kill: Bool) {
        cancel([ticket], kill: kill)
    }

    func cancel(_ tickets: [UInt64], kill: Bool) {
        let wanted = Set(tickets)
        let withdrawn = state.withLock { state in
            var withdrawn: [LocalTask] = []
            var rest = FIFO<LocalTask>()
            // Once through the queue, however many they are.
            while let task = state.queue.popFirst() {
                if wanted.contains(task.ticket) { withdrawn.append(task) } else { rest.append(task) }
            }
            state.queue = rest
            for task in withdrawn { state.news.append(.lost(task.ticket, .notBegun)) }
            guard kill else { return withdrawn }
            for worker in state.workers {
                guard let task = worker.task, wanted.contains(task.ticket) else { continue }
                state.news.append(.lost(task.ticket, .engine("the call was cancelled")))
                abandon(worker, &state)
            }
            return withdrawn
        }
        release(withdrawn)
        bell.wake()
        // A thread that was given up has to have a successor.
        host?.engineChanged()
    }

    /// Lets go of tasks once the pool's lock is given back, which the caller has: a function's captures and its arguments may be what keeps this pool.
    private func release(_ tasks: [LocalTask]) {
        if !tasks.isEmpty { host?.release(tasks) }
    }

    /// Gives up a thread and what it is at. The task hears of it from `poll`: its handlers are the user's.
    private func abandon(_ worker: ThreadWorker, _ state: inout State) {
        worker.isAbandoned = true
        if let task = worker.task { state.news.append(.abandoned(task)) }
        state.remove(worker)
        state.idle.removeAll { $0 === worker }
        guard !state.isClosing else { return }
        state.restarts += 1
        state.vacancies.append(worker.restarts + 1)
    }

    // MARK: - A thread's life

    private enum Step {
        case run(LocalTask)
        case sleep
        case end
    }

    private func serve(_ worker: ThreadWorker) {
        let runner = TaskRunner()
        guard state.withLock({ _ in !worker.isAbandoned }) else { return }
        if let initializer = specification.initializer {
            do {
                try runner.initialize(initializer)
            } catch {
                return failed(worker, error)
            }
        }
        state.withLock { state in
            state.starts.succeeded()
            worker.isReady = true
        }
        while true {
            let ticket = worker.bell.ticket
            switch state.withLock({ next(worker, &$0) }) {
            case .run(let task): run(task, on: worker, runner)
            case .sleep: worker.bell.sleep(ticket, until: .never)
            case .end:
                host?.engineChanged()
                return bell.wake()
            }
            guard state.withLock({ _ in !worker.isAbandoned }) else { return }
        }
    }

    private func next(_ worker: ThreadWorker, _ state: inout State) -> Step {
        if worker.isAbandoned { return .end }
        state.idle.removeAll { $0 === worker }
        let isWorn = specification.maximumTasks.map { worker.finished >= $0 } ?? false
        if isWorn || state.workers.count > state.target {
            state.remove(worker)
            return .end
        }
        if let task = state.queue.popFirst() {
            worker.task = task
            return .run(task)
        }
        if state.isClosing {
            state.remove(worker)
            return .end
        }
        state.idle.append(worker)
        return .sleep
    }

    private func run(_ task: LocalTask, on worker: ThreadWorker, _ runner: TaskRunner) {
        let start = mp_now()
        let answer = runner.run(task) { piece, answer in
            guard let answer else { return begin(piece, task, worker) }
            return post(worker) { state in
                worker.since = mp_now()
                state.news.append(.answered(task.ticket, piece, answer, worker.name))
            }
        }
        let time = max(1, mp_now() - start)
        _ = post(worker) { state in
            worker.task = nil
            worker.finished += 1
            worker.busy += time
            state.taskTime = state.taskTime.map { ($0 * 3 + Double(time)) / 4 } ?? Double(time)
            state.news.append(.finished(task.ticket, answer, time, worker.name))
        }
    }

    /// Notes that a piece begins; false when nobody wants it any more.
    private func begin(_ piece: Int, _ task: LocalTask, _ worker: ThreadWorker) -> Bool {
        let isWanted = state.withLock { _ in
            worker.piece = piece
            worker.since = mp_now()
            return !worker.isAbandoned
        }
        if isWanted, let timeout = task.timeout { armTimer(Deadline(timeout: timeout)) }
        return isWanted
    }

    /// Changes the state unless the thread was given up, and tells whoever waits. Returns whether it was not.
    private func post(_ worker: ThreadWorker, _ change: (inout State) -> Void) -> Bool {
        let isWanted = state.withLock { state in
            if !worker.isAbandoned { change(&state) }
            return !worker.isAbandoned
        }
        if isWanted { bell.wake() }
        return isWanted
    }

    private func failed(_ worker: ThreadWorker, _ error: any Error) {
        Log.write(.warning, "the initializer of \(worker.name) has failed: \(error)")
        state.withLock { state in
            state.remove(worker)
            if !worker.isAbandoned, !state.isClosing, state.starts.failed(error, round: worker.round) {
                state.news.append(.broke(error))
            }
        }
        bell.wake()
        host?.engineChanged()
    }

    // MARK: - Time limits

    /// Sees to it that somebody looks at the calls under way no later than `deadline`.
    private func armTimer(_ deadline: Deadline) {
        guard let reactor = try? Runtime.shared().reactor else { return }
        state.withLock { state in
            guard state.timer == nil || deadline < state.timerDeadline else { return }
            if let timer = state.timer { reactor.cancel(timer) }
            state.timerDeadline = deadline
            state.timer = reactor.waitUntil(deadline) { [faint = FaintReference(self)] _ in
                (faint.object as? ThreadSession)?.checkTimes()
            }
        }
    }

    /// Gives up threads whose call has taken too long.
    private func checkTimes() {
        let next = state.withLock { state in
            state.timer = nil
            state.timerDeadline = .never
            let now = mp_now()
            var next = Deadline.never
            for worker in state.workers {
                guard let task = worker.task, let timeout = task.timeout else { continue }
                let end = worker.since &+ (Deadline(timeout: timeout).nanoseconds &- now)
                if end <= now {
                    state.news.append(.lost(task.ticket, .timedOut))
                    abandon(worker, &state)
                } else {
                    next = min(next, Deadline(nanoseconds: end))
                }
            }
            return next
        }
        if !next.isNever { armTimer(next) }
        bell.wake()
        host?.engineChanged()
    }

    // MARK: - News

    var hasNews: Bool { state.withLock { !$0.news.isEmpty } }

    func poll(_ events: any EngineEvents) {
        let news = state.withLock { state in
            defer { state.news = [] }
            return state.news
        }
        for item in news {
            switch item {
            case .answered(let ticket, let piece, let answer, let worker):
                host?.release(answer)
                answer.withEnvelope(nanoseconds: 0, worker: worker) { events.answered(ticket, piece: piece, $0) }
            case .finished(let ticket, let answer, let time, let worker):
                host?.release(answer)
                answer.withEnvelope(nanoseconds: time, worker: worker) { events.finished(ticket, $0) }
            case .lost(let ticket, let loss): events.lost(ticket, loss)
            case .abandoned(let task): host?.afterwards { task.cancel() }
            case .broke(let error): events.broke(error)
            }
        }
    }

    func wait(until deadline: Deadline) {
        let ticket = bell.ticket
        // Acquiring: pairs with the releasing store in `wake`.
        if !hasNews, !changed.load(ordering: .acquiring) { bell.sleep(ticket, until: deadline) }
        changed.store(false, ordering: .releasing)
    }

    func wake() {
        changed.store(true, ordering: .releasing)
        bell.wake()
    }

    // MARK: - Threads come and go

    func scale(to count: Int) {
        let idle = state.withLock { state in
            state.target = count
            return state.workers.count > count ? state.idle : []
        }
        for worker in idle { worker.bell.wake() }
    }

    var needsMaintenance: Bool { state.withLock { Self.needsThread($0) && $0.starts.next.hasPassed } }

    var maintenanceDeadline: Deadline { state.withLock { Self.needsThread($0) ? $0.starts.next : .never } }

    private static func needsThread(_ state: State) -> Bool {
        !state.isClosing && !state.starts.isOver && state.workers.count < state.target
    }

    func maintain() {
        while needsMaintenance {
            let worker = state.withLock { state in
                state.lastNumber += 1
                let worker = ThreadWorker("\(specification.name)Thread-\(state.lastNumber)")
                worker.restarts = state.vacancies.popLast() ?? 0
                worker.round = state.starts.round
                state.workers.append(worker)
                return worker
            }
            do {
                try Thread.start(name: "mp-worker", stackSize: Self.stackSize) { [self] in serve(worker) }
            } catch {
                return failed(worker, error)
            }
            // It can be given tasks from now on.
            host?.engineChanged()
        }
    }

    func close(drain: Bool) {
        let (workers, dropped) = state.withLock { state in
            state.isClosing = true
            let workers = state.workers
            var dropped: [LocalTask] = []
            if !drain {
                dropped = state.queue.all
                state.queue = FIFO()
                // An initializer that hangs is as little to be waited for as a task.
                for worker in workers where worker.task != nil || !worker.isReady { abandon(worker, &state) }
            }
            return (workers, dropped)
        }
        release(dropped)
        for worker in workers { worker.bell.wake() }
        bell.wake()
    }

    var isEmpty: Bool { state.withLock { $0.workers.isEmpty } }

    var restarts: Int { state.withLock { $0.restarts } }

    var statistics: [PoolStatistics.Worker] {
        state.withLock { state in state.departed + state.workers.map(\.statistics) }
    }
}
