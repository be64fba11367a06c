// SPDX-License-Identifier: Apache-2.0
//
// The pool behind the public types: the state machine and the engine's session under one lock, and who waits.
//
// There is no thread between a caller and its result where none is needed: a thread that blocks for a result collects the results of all meanwhile (it leads), and passes that on when it has its own. Only where nobody blocks
// does the pool's own thread lead. One thread leads at a time (leader and followers, Schmidt et al. 2000).

internal import CMultiprocessing
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding
internal import Synchronization

/// A pool's state and the only place where it is locked.
///
/// `@unchecked Sendable` is safe because everything that changes is used inside `withLock` only.
final class PoolCore: EngineHost, @unchecked Sendable {
    /// The life of a pool.
    enum Phase {
        case running
        /// No more calls; what was submitted is done.
        case closing
        case terminated
    }

    private let lock = Mutex<Void>(())
    private let madeIn = mp_fork_generation()
    // Unchecked is safe, here and below: what is used under the lock calls nothing outside itself, so that no access to it can begin during another.
    @exclusivity(unchecked) var machine = PoolStateMachine()
    /// The jobs, at the place that the machine's number for each names.
    @exclusivity(unchecked) private var jobs: [PoolJob?] = []
    private var openedSession: (any EngineSession)?
    @exclusivity(unchecked) var phase = Phase.running
    /// Why there are no workers any more.
    var breakdown: (any Error)?
    /// Bytes of arguments that wait to be handed out.
    @exclusivity(unchecked) var waitingBytes = 0
    /// Threads and tasks that wait for room in the queue. Apart, because a task that is called may have to wait for the very thread that waits here to go on.
    @exclusivity(unchecked) var roomWaiters = (threads: RoomQueue<Notice>(), tasks: RoomQueue<Notice>())
    /// Whether a thread waits for results. Changed under the lock.
    var isLed: Bool {
        // Relaxed: the lock orders it. Without the lock it is as new as the reader's last turn with it.
        get { led.load(ordering: .relaxed) }
        set { led.store(newValue, ordering: .relaxed) }
    }

    private let led = Atomic<Bool>(false)
    /// Threads that wait for their own result while another leads.
    @exclusivity(unchecked) var followers: [Notice] = []
    /// To be posted once the lock is released.
    @exclusivity(unchecked) var notices: [Notice] = []
    /// What users have made and nobody needs any more: to be let go of once the lock is released, since that may call anything, this pool included.
    private var released: [Any] = []
    /// To be called once the lock is released.
    private var actions: [@Sendable () -> Void] = []
    /// Whether there is any of that.
    @exclusivity(unchecked) private var hasLeftovers = false
    /// To be called by the pool's thread.
    var callbacks: [@Sendable () -> Void] = []
    let thread = PoolThread()
    let functions = FunctionTable()
    /// How much may wait to be handed out before a call waits for room.
    let limits: QueueLimit
    /// How many items of a map make a task, where the user does not say; nil: as many as suit how long they take.
    let chunkSize: Int?
    /// What the place can do where the tasks run.
    let capabilities: EngineCapabilities
    /// Happens when nothing is left of the pool.
    let gone = Notice()

    init(_ engine: any ExecutionEngine, _ specification: WorkerSpecification, _ limits: QueueLimit) throws {
        self.limits = limits
        chunkSize = specification.chunkSize
        capabilities = engine.capabilities
        try capabilities.check(specification)
        openedSession = try engine.open(specification, host: self)
        session.maintain()
    }

    /// Where the tasks run.
    var session: any EngineSession {
        guard let openedSession else { preconditionFailure("a pool has a session from its start on") }
        return openedSession
    }

    // MARK: - The lock

    @inline(__always)
    func withLock<R>(_ body: () throws -> R) rethrows -> R {
        lock.lock()
        defer { unlock() }
        return try body()
    }

    /// Gives the lock back, and posts what was to be posted then.
    @inline(__always)
    private func unlock() {
        guard !notices.isEmpty || hasLeftovers else { return lock.unlock() }
        unlockAndPost()
    }

    @inline(never)
    private func unlockAndPost() {
        let posted = notices
        notices = []
        let (dropped, called) = (released, actions)
        if hasLeftovers {
            released = []
            actions = []
            hasLeftovers = false
        }
        lock.unlock()
        for notice in posted { notice.post() }
        for action in called { action() }
        withExtendedLifetime(dropped) {}
    }

    func release(_ leftover: Any) {
        released.append(leftover)
        hasLeftovers = true
    }

    func afterwards(_ action: @escaping @Sendable () -> Void) {
        actions.append(action)
        hasLeftovers = true
    }

    func engineChanged() {
        openedSession?.wake()
        thread.wake()
    }

    /// Throws in a copy of the process that made the pool: the workers are the other one's.
    func checkProcess() throws {
        guard mp_fork_generation() == madeIn else {
            throw PoolError(
                .otherProcess,
                "this pool belongs to the process that this one was forked from; make one here"
            )
        }
    }

    // MARK: - Jobs

    /// Has the machine know a job; under the lock.
    func add(_ job: PoolJob) {
        job.id = machine.add(job.rules)
        while jobs.count <= job.id.index { jobs.append(nil) }
        jobs[job.id.index] = job
    }

    /// The job that the machine knows by this number, if it has not ended; under the lock.
    func living(_ id: PoolStateMachine.JobID) -> PoolJob? {
        machine.jobs.contains(id) ? jobs[id.index] : nil
    }

    /// The job of an outcome that the machine says is to be delivered: it may just have ended.
    @inline(__always)
    func owner(_ id: PoolStateMachine.JobID) -> PoolJob {
        guard let job = jobs[id.index], job.id == id else { preconditionFailure("a job has ended unheard of") }
        return job
    }

    // MARK: - Submitting

    /// Throws unless calls are accepted; under the lock.
    func checkRunning() throws {
        if let breakdown { throw PoolError(.workersFail, "the pool has given up starting workers: \(breakdown)") }
        switch phase {
        case .running: return
        case .closing: throw PoolError(.notRunning, "the pool was closed")
        case .terminated: throw PoolError(.notRunning, "the pool was terminated")
        }
    }

    /// Adds a block of pieces to a job; false when it has ended meanwhile.
    ///
    /// - Parameter singly: Whether pieces are handed out one by one from now on, since each has descriptors of its own.
    func append(_ block: TaskInput.Block?, to job: PoolJob, isLast: Bool, singly: Bool = false) -> Bool {
        withLock {
            // What has come meanwhile makes room for more.
            takeInNews()
            guard !job.isEnded else { return false }
            if singly { machine.handOutSingly(job.id) }
            let before = job.input.count
            if let block {
                job.take(block)
                waitingBytes += block.writer.count
            }
            addPieces(of: job, job.input.count - before, isLast: isLast)
            return !job.isEnded
        }
    }

    /// Makes known that a job has further pieces; under the lock.
    func addPieces(of job: PoolJob, _ count: Int, isLast: Bool) {
        if machine.addPieces(count, to: job.id, isLast: isLast) { complete(job) }
        dispatch()
    }

    /// How many jobs were submitted. Changed under the lock.
    let submissions = Atomic<UInt64>(0)

    /// Notes that somebody was here and will probably be again soon; under the lock.
    func noteSubmission() {
        // Relaxed, here and where it is looked at: only that it changes counts.
        submissions.add(1, ordering: .relaxed)
    }

    /// Whether somebody waits who cannot lead.
    @exclusivity(unchecked) var needsLeader = false

    /// Lets the pool's thread lead, for a caller that waits without a thread.
    func leaveToThread() {
        if capabilities.runsOnCallers { return runTasks(for: .passing) }
        let isNeeded = withLock {
            guard !isLed else { return false }
            needsLeader = true
            return true
        }
        if isNeeded { thread.wake() }
    }

    /// Sees to it that the pool's thread looks soon, for a caller that does not wait.
    func leaveToThreadSoon() {
        if capabilities.runsOnCallers { return runTasks(for: .passing) }
        // Without the lock: who leads steps down under it, and sees then what was submitted before this look.
        if !isLed { thread.wakeSoon() }
    }

    /// Carries out tasks on the thread of the caller, where they run there.
    private func runTasks(for caller: EngineCaller) {
        while withLock({ session.hasTask(for: caller) }) {
            session.runTask(for: caller)
            withLock { advance() }
        }
        thread.wake()
    }

    // MARK: - Handing out

    /// Hands out what the session takes; under the lock.
    func dispatch() {
        handOut()
        tellOfRoom()
        guard machine.waiting == 0, machine.running > 1 else { return }
        session.rebalance(self)
        if machine.waiting > 0 { handOut() }
    }

    private func handOut() {
        guard machine.waiting > 0 else { return }
        let session = session
        let parallelism = session.parallelism
        while machine.waiting > 0, session.wantsTasks, let next = machine.next(parallelism: parallelism) {
            let job = owner(next.job)
            noteHandedOut(next.pieces, of: job)
            session.submit(
                TaskEnvelope(
                    ticket: next.attempt.number,
                    function: job.function,
                    input: job.input,
                    pieces: next.pieces,
                    attempt: next.number,
                    isElementwise: job.rules.isElementwise,
                    timeout: job.options.timeout
                )
            )
        }
        session.flush()
    }

    /// Takes what has happened, and goes on; under the lock.
    func advance() {
        session.poll(self)
        dispatch()
    }

    /// Takes what has happened if nobody else does; under the lock.
    @inline(__always)
    func takeInNews() {
        // Also hands out, whatever the caller does then: the next one who leads sleeps until there is news again, and of workers without a task there is none.
        if !isLed, session.hasNews { advance() }
    }

    // MARK: - Ends

    /// Notes that a job has ended; under the lock.
    func complete(_ job: PoolJob) {
        guard !job.isEnded else { return }
        job.end()
        if jobs.indices.contains(job.id.index), jobs[job.id.index] === job { jobs[job.id.index] = nil }
        if job.isDirect { release(job) }
        waitingBytes -= job.waitingBytes
        job.waitingBytes = 0
        tell(job)
        closeIfDone()
        if let onEnd = job.onEnd {
            job.onEnd = nil
            callbacks.append { onEnd(job) }
            engineChanged()
        }
    }

    /// Lets those look again who wait for a job.
    func tell(_ job: PoolJob) {
        // The one who leads may wait for this job, and is asleep at the engine's door: what another thread brings about there, such as the end of an input, it would not hear of.
        if isLed { session.wake() }
        guard !job.waiters.isEmpty else { return }
        notices += job.waiters
        job.waiters = []
    }

    /// Ends a job whatever of it is under way; under the lock.
    func give(up job: PoolJob, kill: Bool) {
        guard let attempts = machine.end(job: job.id) else { return }
        if !attempts.isEmpty { session.cancel(attempts.map(\.number), kill: kill) }
        complete(job)
        dispatch()
    }
}
