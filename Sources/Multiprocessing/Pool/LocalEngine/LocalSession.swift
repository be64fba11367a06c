// SPDX-License-Identifier: Apache-2.0
//
// The workers of one pool. Each has a lane of its own in either direction, so that no worker can hold up another; whoever waits for results waits for the doorbell that all of them ring.

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingChannels
internal import MultiprocessingPrimitives
internal import Synchronization

/// Worker processes and what they are given.
///
/// `@unchecked Sendable` is safe because everything that changes is used under the pool's lock, but for `watched` (see there).
final class LocalSession: EngineSession, @unchecked Sendable {
    /// So many workers may be killed one after the other before they could serve until others are started with pauses.
    static let mostEarlyKills = 8

    let specification: WorkerSpecification
    unowned let host: any EngineHost
    let doorbell: Doorbell
    // Unchecked is safe for the plain values and lists below: they are changed under the pool's lock, by code that calls nothing back meanwhile.
    /// How many workers there are to be.
    @exclusivity(unchecked) var target: Int
    /// All that have not ended, and those that have and were not dealt with.
    @exclusivity(unchecked) var workers: [LocalWorker] = []
    /// Workers without a task, the one that finished last at the end; its caches are warm.
    @exclusivity(unchecked) var idle: [LocalWorker] = []
    /// The worker that gets the next task.
    @exclusivity(unchecked) private var candidate: LocalWorker?
    /// The worker that got the last task.
    @exclusivity(unchecked) var last: LocalWorker?
    /// Where in the list the search for one begins.
    @exclusivity(unchecked) private var cursor = 0
    /// Workers that may have to be woken for what they were given.
    @exclusivity(unchecked) private var unwoken: [LocalWorker] = []
    /// Workers whose process has ended.
    @exclusivity(unchecked) var ended: [LocalWorker] = []
    /// The numbers of workers given out.
    var lastNumber = 0
    /// Starts in a row that failed, and why the last one did.
    @exclusivity(unchecked) var failures = StartFailures()
    var failure: (any Error)?
    /// How many workers in a row were killed before they could serve, and the pause after the last of them.
    @exclusivity(unchecked) var earlyKills = 0
    var pauseAfterKill = Deadline.passed
    /// How long the successor of a worker waits of which it is not known yet how it ended.
    var pauseAfterLoss = Deadline.passed
    /// Looks at the memory of workers, while some are at work and it is limited.
    var memoryTimer: Reactor.Token?
    /// Looks for segments that nobody uses any more, while there are large ones.
    var trimTimer: Reactor.Token?
    var isClosing = false
    var isDraining = false
    @exclusivity(unchecked) var isBroken = false
    var restarts = 0
    /// What the workers had done that ended since the pool was closed.
    var departed: [PoolStatistics.Worker] = []
    /// For each worker that goes and has no successor yet, how many were lost in its place.
    var vacancies: [Int] = []
    /// Attempts whose time is limited: looked at together.
    var timers: Reactor.Token?
    var timerDeadline = Deadline.never
    /// Tasks that were not written, for want of memory or descriptors, or of room where there is no error; and those that were taken back.
    @exclusivity(unchecked) var unwritten: [(ticket: UInt64, error: SystemError?)] = []

    /// The workers whose lanes the one who waits looks at; replaced as a whole.
    private let watched = Mutex<[LocalWorker]>([])

    init(_ specification: WorkerSpecification, host: any EngineHost) throws {
        self.specification = specification
        self.host = host
        target = specification.count
        doorbell = try Doorbell()
    }

    // MARK: - Tasks

    var parallelism: Int { max(target, 1) }

    var wantsTasks: Bool {
        guard !isBroken else { return false }
        candidate = choose()
        return candidate != nil
    }

    /// Whether one more worker may be at work: those that end after what they have count, so that never more are than there are to be.
    var mayBegin: Bool {
        guard workers.count > target else { return true }
        return workers.count(where: \.isAtWork) < target
    }

    /// Whether a worker can be given a task to read ahead, or to begin with.
    private func canTakeMore(_ worker: LocalWorker) -> Bool {
        worker.canTakeMore && (!worker.outstanding.isEmpty || mayBegin)
    }

    func submit(_ task: TaskEnvelope) {
        guard let worker = lender(of: task) ?? candidate ?? choose() else {
            preconditionFailure("a task was submitted to workers that want none")
        }
        candidate = nil
        if worker.isListedIdle, idle.last === worker {
            idle.removeLast()
            worker.isListedIdle = false
        }
        do {
            guard try give(task, to: worker) else {
                worker.noteFull()
                unwritten.append((task.ticket, nil))
                return host.engineChanged()
            }
        } catch {
            if error.isShortage {
                unwritten.append((task.ticket, error))
            } else {
                // Its end of the socket is closed: it is gone, or no good any more.
                noteGone(worker)
                end(worker)
                unwritten.append((task.ticket, nil))
            }
            return host.engineChanged()
        }
        if specification.maximumMemory != nil { armMemoryCheck() }
        retireIfSpent(worker)
    }

    /// Nanoseconds until a sleeper is awake: short tasks are done before that by a worker who is.
    private static var wakeTime: Double { 20_000 }

    /// The worker for the next task: one that is idle, or else one of those that read ahead, each in its turn.
    ///
    /// As long as what the last one has is done sooner than a sleeper wakes, it gets the next one too. Should it turn out to take longer, `rebalance` gives it to others.
    private func choose() -> LocalWorker? {
        while let worker = idle.last, mayBegin {
            guard worker.canTakeFirst else {
                idle.removeLast()
                worker.isListedIdle = false
                continue
            }
            if worker.isAsleep, let last, !last.isHeldUp, canTakeMore(last), last.backlog < Self.wakeTime,
                !last.outstanding.isEmpty
            {
                return last
            }
            return worker
        }
        for _ in workers.indices {
            cursor += 1
            if cursor >= workers.count { cursor = 0 }
            if canTakeMore(workers[cursor]) { return workers[cursor] }
        }
        return nil
    }

    /// Writes a task into a worker's lane; false when it is full.
    private func give(_ task: TaskEnvelope, to worker: LocalWorker) throws(SystemError) -> Bool {
        if !worker.knows(task.function.number) {
            guard try define(task.function, in: worker) else { return false }
        }
        var flags: WorkerRecordFlags = task.function.isMapping ? .mapping : []
        if task.isElementwise { flags.insert(.elementwise) }
        if task.timeout != nil { flags.insert(.timed) }
        let last = UInt64(task.function.number) | UInt64(task.pieces.count) << 32
        guard let (record, segment) = try write(task, flags, last, to: worker) else { return false }
        self.last = worker
        if segment != nil { noteLarge(worker) }
        if worker.outstanding.isEmpty {
            worker.noteBegin()
            worker.tasks.publishAndWake()
        } else {
            // It has been woken for another one, or is at it. Should it be asleep all the same, `flush` finds out.
            worker.tasks.publish()
            if !worker.isWakeDue {
                worker.isWakeDue = true
                unwoken.append(worker)
            }
        }
        worker.given += 1
        worker.outstanding.append(
            LocalWorker.Outstanding(
                ticket: task.ticket,
                record: record,
                end: worker.tasks.position,
                segment: segment,
                function: task.function.number,
                timeout: task.timeout,
                isElementwise: task.isElementwise
            )
        )
        if let timeout = task.timeout { armTimer(Deadline(timeout: timeout)) }
        return true
    }

    /// Writes the record of a task; nil when there is no room.
    private func write(
        _ task: TaskEnvelope,
        _ flags: WorkerRecordFlags,
        _ last: UInt64,
        to worker: LocalWorker
    ) throws(SystemError) -> (WorkerRecord, Int?)? {
        switch task.input {
        case .short(let short):
            return short.withBytes { bytes in
                worker.writeInline(WorkerRecordKind.task, flags, ticket: task.ticket, payload: bytes, last: last)
            }.map { ($0, nil) }
        case .pieces(let input):
            guard let bytes = input.bytes(of: task.pieces), bytes.count <= WorkerRecord.largestInline,
                !input.carriesDescriptors
            else { break }
            return worker.writeInline(WorkerRecordKind.task, flags, ticket: task.ticket, payload: bytes, last: last)
                .map { ($0, nil) }
        }
        let written = try worker.write(
            WorkerRecordKind.task,
            flags,
            ticket: task.ticket,
            length: task.input.size(of: task.pieces),
            descriptors: task.input.descriptors(of: task.pieces),
            last: last,
            lent: task.input.loan(of: task.pieces) as? SegmentLoan
        ) { task.input.copy(task.pieces, to: $0) }
        return written.map { ($0.record, $0.segment) }
    }

    func flush() {
        while let worker = unwoken.popLast() {
            worker.isWakeDue = false
            worker.tasks.publishAndWake()
        }
    }

    /// Sends a function before the first task with it.
    private func define(_ function: TaskFunction, in worker: LocalWorker) throws(SystemError) -> Bool {
        let written = try worker.write(
            WorkerRecordKind.definition,
            function.isMapping ? .mapping : [],
            ticket: UInt64(function.number),
            length: function.bytes.count,
            descriptors: function.descriptors,
            last: 0
        ) { target in
            function.bytes.withUnsafeBytes { bytes in
                if let base = bytes.baseAddress { target.copyMemory(from: base, byteCount: bytes.count) }
            }
        }
        guard let written else { return false }
        worker.keepDefinition(written.segment)
        try worker.remember(function.number)
        return true
    }

    func rebalance(_ events: any EngineEvents) {
        while let worker = idle.last, !worker.canTakeFirst {
            idle.removeLast()
            worker.isListedIdle = false
        }
        guard let free = idle.last, free.phase == .ready, mayBegin else { return }
        // What was given to a worker that is still being started can be done at once here.
        if let unready = workers.first(where: { $0.phase == .starting && !$0.outstanding.isEmpty }) {
            for entry in unready.outstanding.all where takeBack(entry, from: unready) {
                events.lost(entry.ticket, .notBegun)
                lookSoon()
            }
            return
        }
        guard let laden = workers.max(by: { $0.load < $1.load }), laden.load >= 2 else { return }
        let isStill = laden.stillness(at: mp_now()) >= Self.longestStillness
        // It is likely to be done with what it has before another one is awake.
        if free.isAsleep, !isStill, laden.backlog < 2 * Self.wakeTime { return lookSoon() }
        // Else it would be given at once what is taken from it now.
        if isStill { laden.isHeldUp = true }
        // The newer half of what waits there; what the worker takes meanwhile it keeps.
        var rest = laden.load / 2
        for entry in laden.outstanding.all.reversed() where rest > 0 && !entry.isRevoked {
            guard takeBack(entry, from: laden) else { break }
            events.lost(entry.ticket, .notBegun)
            rest -= 1
            // What is left there, and what comes to lie behind others where this goes, may have to go on to a third one; when tasks wait for each other nothing else would say so.
            lookSoon()
        }
    }

    /// Nanoseconds after which a worker that takes nothing is at a longer task than was to be expected.
    private static var longestStillness: Int64 { 500_000 }

    // MARK: - Waiting

    /// When to look again whether work has to be shared out anew, in nanoseconds; `.max`: no need to.
    private let nextLook = Atomic<Int64>(.max)

    /// Sees to it that somebody looks again soon, if the one who waits does not do so in any case.
    private func lookSoon() {
        // Relaxed: it is set under the pool's lock, and unset by the one who waits, who looks again then.
        guard nextLook.load(ordering: .relaxed) == .max else { return }
        nextLook.store(mp_now() + 2 * Self.longestStillness, ordering: .relaxed)
        // The time before the look at the mark; pairs with the fence in `Doorbell.wait`: either its mark is seen here, or it sees the time.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        if doorbell.isAsleep { wake() }
    }

    func wait(until deadline: Deadline) {
        let deadline = min(deadline, Deadline(nanoseconds: nextLook.load(ordering: .relaxed)))
        let watched = watched.withLock { $0 }
        doorbell.wait(until: deadline) {
            watched.contains(where: \.hasResults) || changed.load(ordering: .acquiring)
                // Somebody has come meanwhile who wants a look sooner than that.
                || nextLook.load(ordering: .relaxed) < deadline.nanoseconds
        }
        let look = nextLook.load(ordering: .relaxed)
        if look != .max, look <= mp_now() { nextLook.store(.max, ordering: .relaxed) }
        changed.store(false, ordering: .releasing)
    }

    /// Whether something besides results has happened since the last wait.
    private let changed = Atomic<Bool>(false)

    func wake() {
        // Releasing: pairs with the acquiring load in `wait`. The exchange in `ring` keeps it before what follows: either the one who waits sees it, or its mark is seen.
        changed.store(true, ordering: .releasing)
        doorbell.ring()
    }

    /// Notes which workers there are, for the one who waits.
    func workersChanged() {
        watched.withLock { $0 = workers }
        // Who is about to sleep has looked at the lanes of those before.
        wake()
    }
}
