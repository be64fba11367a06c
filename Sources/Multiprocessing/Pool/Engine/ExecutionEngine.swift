// SPDX-License-Identifier: Apache-2.0
//
// The seam between a pool and where its tasks run. Above it are jobs, results, retries and priorities; below it workers, whatever they are: processes of this machine, threads, or one day machines elsewhere. What holds
// on both sides of it:
//
//   - A task is a function and bytes. Nothing may depend on memory or descriptors that a worker inherited.
//   - Every attempt that was accepted gets exactly one outcome, finished or lost. An outcome that comes twice or too late is dropped above.
//   - Retries are the pool's alone.
//   - Time limits are durations, measured where the task runs.
//   - Initializers run again in each replacement worker; the number of workers is a target, not a fact.
//
// What an engine whose workers are elsewhere will need besides, and those here do not:
//
//   - An epoch. A ticket is never used twice in a session, and a session belongs to one pool; the channels of processes and threads end with it, so that nothing of an earlier one can arrive. Where it can, each frame names the
//     session that asked (`ResultFrame`): the engine puts the number in and drops frames with another, as the one for tests does. The pool need not know it.
//   - A way to send large arguments once for many tasks. What a function captures and what `with:` gives crosses once to each worker, as part of the `TaskFunction` and under its number; what changes from task to task crosses with
//     the task. A store of blobs behind the engine would be a third way. It comes with the first engine that has one: here it would be another name for shared memory.
//
// A pool calls its session under one lock, and the session calls back under the same.

internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// Where the tasks of pools run.
protocol ExecutionEngine: Sendable {
    /// What it can do.
    var capabilities: EngineCapabilities { get }
    /// Opens a place for one pool's tasks.
    ///
    /// - Throws: what keeps it from having workers.
    func open(_ specification: WorkerSpecification, host: any EngineHost) throws -> any EngineSession
}

/// What a pool wants of its workers.
struct WorkerSpecification: Sendable {
    /// How many.
    var count: Int
    /// Each is replaced after so many attempts.
    var maximumTasks: Int?
    /// Each is replaced once it has so many bytes in memory.
    var maximumMemory: Int?
    /// How they are started, where that is a question.
    var startMethod = StartMethod.default
    /// Called in each before its first task.
    var initializer: TaskFunction?
    /// How long memory for large payloads is kept that nobody uses.
    var keepsSegments = Duration.seconds(10)
    /// The name of the pool, in names of workers.
    var name = "Pool"
    /// How many items of a map make a task, where the user does not say; nil: as many as suit how long they take.
    private(set) var chunkSize: Int?

    /// Asks for a fresh worker for every task, and for every item of a map.
    mutating func isolatesTasks() {
        maximumTasks = 1
        chunkSize = 1
    }
}

/// The pool, as its engine sees it.
protocol EngineHost: AnyObject, Sendable {
    /// Calls `body` under the pool's lock.
    func withLock<R>(_ body: () throws -> R) rethrows -> R
    /// Says, without the lock, that `poll` has something to tell, or `maintain` something to do.
    func engineChanged()
    /// Lets go of something of a user's once the pool's lock is given back, under which it is called: whatever goes then may use the pool.
    func release(_ leftover: Any)
    /// Calls a function of a user's once the pool's lock is given back, under which it is called.
    func afterwards(_ action: @escaping @Sendable () -> Void)
}

/// What happened, told by `EngineSession.poll`.
protocol EngineEvents: AnyObject {
    /// An attempt has finished. The bytes are valid during the call, unless there is a lease.
    func finished(_ ticket: UInt64, _ result: ResultEnvelope)
    /// A piece of an attempt that is answered piece by piece.
    func answered(_ ticket: UInt64, piece: Int, _ result: ResultEnvelope)
    /// An attempt was lost.
    func lost(_ ticket: UInt64, _ loss: Loss)
    /// There will be no workers any more, for this reason.
    func broke(_ error: any Error)
}

/// A place for the tasks of one pool. Everything but `wait`, `wake` and `maintain` is called under the pool's lock.
protocol EngineSession: AnyObject, Sendable {
    /// How many tasks can run at once.
    var parallelism: Int { get }
    /// Whether `submit` takes another task.
    var wantsTasks: Bool { get }
    /// Takes an attempt. Its outcome comes through `poll`.
    func submit(_ task: TaskEnvelope)
    /// Lends memory for arguments of `size` bytes that are about to be encoded; nil where that is of no use.
    func lend(_ size: Int) -> (any LentMemory)?
    /// Says that no further attempt is submitted for the moment: workers that were not woken yet are.
    func flush()
    /// Gives back what was read ahead and not begun where a worker has nothing to do, when the pool has nothing else to hand out.
    func rebalance(_ events: any EngineEvents)
    /// Takes an attempt back if it was not begun, and with `kill` ends it if it was. The outcome comes through `poll` all the same.
    func cancel(_ ticket: UInt64, kill: Bool)
    /// Does the same with all attempts of a job that is given up. There may be as many as workers can read ahead: a session that has to look for each looks for them together.
    func cancel(_ tickets: [UInt64], kill: Bool)
    /// Changes how many workers there are to be.
    func scale(to count: Int)
    /// Whether `poll` has something to tell, as far as a quick look shows.
    var hasNews: Bool { get }
    /// Tells what has happened.
    func poll(_ events: any EngineEvents)
    /// Whether there is work for `maintain`.
    var needsMaintenance: Bool { get }
    /// When `maintain` is to be called next even if nothing happens.
    var maintenanceDeadline: Deadline { get }
    /// Begins the end: `drain` lets workers finish what they have; otherwise they are told to end, and made to.
    func close(drain: Bool)
    /// Whether nothing is left of any worker.
    var isEmpty: Bool { get }
    /// How many workers were lost.
    var restarts: Int { get }
    /// What is known of each worker.
    var statistics: [PoolStatistics.Worker] { get }

    /// Starts and replaces workers; may block. Called by one thread at a time, without the lock.
    func maintain()
    /// Blocks until `poll` may have something to tell. Called by one thread at a time, without the lock.
    func wait(until deadline: Deadline)
    /// Ends a wait.
    func wake()

    /// Whether there is a task that `caller` may carry out itself, where tasks run on the threads of callers.
    func hasTask(for caller: EngineCaller) -> Bool
    /// Carries out such a task on the current thread. Called without the lock, by any number of threads.
    func runTask(for caller: EngineCaller)
}

extension EngineSession {
    func lend(_ size: Int) -> (any LentMemory)? { nil }
    func cancel(_ tickets: [UInt64], kill: Bool) {
        for ticket in tickets { cancel(ticket, kill: kill) }
    }
    func flush() {}
    func hasTask(for caller: EngineCaller) -> Bool { false }
    func runTask(for caller: EngineCaller) {}
}

/// Who offers its thread.
enum EngineCaller {
    /// A thread that blocks for a result.
    case blocking
    /// A thread that does not, or must not; it may be one of Swift's own.
    case passing
    /// The pool's own thread.
    case poolThread
}

/// A function as bytes, with the context it is called with if it has one.
final class TaskFunction: Sendable {
    /// Stands for it, in one pool.
    let number: UInt32
    /// Whether it is called for arrays of elements.
    let isMapping: Bool
    /// What it was encoded to.
    let bytes: [UInt8]
    /// The function itself, where nothing is encoded.
    let direct: DirectFunction?
    /// The descriptors of handles it captures.
    let descriptors: [Int32]
    /// What keeps them open.
    private let owner: SendableBox<CarriedDescriptors>

    init(number: UInt32, isMapping: Bool, bytes: [UInt8], _ carried: CarriedDescriptors) {
        self.number = number
        self.isMapping = isMapping
        self.bytes = bytes
        direct = nil
        descriptors = carried.numbers
        owner = SendableBox(carried)
    }

    /// A function that is called with values as they are.
    init(_ direct: DirectFunction) {
        self.direct = direct
        number = 0
        isMapping = false
        bytes = []
        descriptors = []
        owner = SendableBox(CarriedDescriptors())
    }
}

/// Carries something that is not changed any more.
///
/// `@unchecked Sendable` is safe because whoever makes one gives up what is in it.
struct SendableBox<Value>: @unchecked Sendable {
    let value: Value

    init(_ value: Value) {
        self.value = value
    }
}

/// An attempt at some pieces of a job.
struct TaskEnvelope {
    /// Stands for the attempt, in this process and for good.
    let ticket: UInt64
    let function: TaskFunction
    /// The arguments.
    let input: TaskArguments
    let pieces: Range<Int>
    /// How often they were tried before.
    let attempt: Int
    /// Whether pieces are answered one by one.
    let isElementwise: Bool
    /// The longest time for a piece.
    let timeout: Duration?
}

/// What came back for an attempt or a piece of it.
struct ResultEnvelope {
    /// The result, or the error.
    let bytes: UnsafeRawBufferPointer
    /// What keeps the bytes where they are; nil when they have to be copied before the call returns.
    let lease: (any AnyObject & Sendable)?
    /// The descriptors of handles in it.
    let descriptors: [Int32]
    /// Whether it is an error.
    let threw: Bool
    /// How long it took.
    let nanoseconds: Int64
    /// Who says so.
    let worker: String
    /// What came back, where nothing is encoded.
    var outcome: DirectOutcome?

    /// Whether it is a result, encoded, and there is nothing to it but its bytes, which have to be copied.
    @inline(__always)
    var isPlain: Bool { !threw && lease == nil && outcome == nil && descriptors.isEmpty }
}

/// How an attempt was lost.
enum Loss {
    /// Nobody had begun with it.
    case notBegun
    /// Its worker is gone, and it would have been the next there: perhaps the worker died of reading it.
    case nextInLine(WorkerLost)
    /// Its worker is gone.
    case worker(WorkerLost)
    /// It took longer than it may.
    case timedOut
    /// The answer made no sense.
    case engine(String)
}
