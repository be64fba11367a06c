// SPDX-License-Identifier: Apache-2.0
//
// What a worker does: take a record from its lane, do what it says, answer, until it is told to stop. It begins on the process's main thread and stays there as long as all functions are synchronous; with the first
// asynchronous one the main thread is needed for the main actor, and the loop goes on in a thread of its own.

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingChannels
internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding
internal import Synchronization

/// The worker's side of a pool.
///
/// `@unchecked Sendable` is safe because only the thread that runs the loop uses it, and one thread hands it to the next.
final class WorkerLoop: @unchecked Sendable {
    /// The room of the thread that takes over from the main thread, as much as that has.
    private static let stackSize = 8 << 20

    let memory: WorkerMemory
    let socket: DescriptorSocket
    // Unchecked is safe, here and below: the loop's thread alone uses what is so marked, and what runs meanwhile (a user's function and coders) cannot reach the loop.
    @exclusivity(unchecked) var tasks: LaneReader
    @exclusivity(unchecked) var results: LaneWriter
    var functions: [UInt32: WorkerFunction] = [:]
    /// The function of the last task, and its number.
    @exclusivity(unchecked) var lastFunction: WorkerFunction?
    @exclusivity(unchecked) var lastNumber: UInt32 = 0
    @exclusivity(unchecked) var writer = WireWriter(capacity: 4096)
    var segments = SegmentReceiver()
    var resultSegments = SegmentSender()
    /// The segment that the writer writes into, or has given up.
    @exclusivity(unchecked) var loan: SegmentSender.Loan?
    /// Whether the pool wants to know after each task how much memory this process has.
    let reportsMemory: Bool
    @exclusivity(unchecked) var lastMemoryReport: Int64 = 0
    /// The descriptors of handles in results, and how results find them.
    let resultDescriptors = CarriedDescriptors()
    let resultInfo: [CodingUserInfoKey: Any]
    /// What records without descriptors are decoded with.
    let withoutDescriptors: [CodingUserInfoKey: Any] = [
        CarriedDescriptors.userInfoKey: CarriedDescriptors(received: [])
    ]
    /// When the last thing ended, in nanoseconds.
    @exclusivity(unchecked) var clock: Int64 = 0
    @exclusivity(unchecked) var finished: UInt64 = 0
    @exclusivity(unchecked) var busy: UInt64 = 0
    private let doorbell: MemoryRegion
    private let ownedSocket: OwnedDescriptor
    private var isOnMainThread = true
    /// Whether the initializer has failed, so that this worker is of no use.
    var hasFailed = false

    private init(_ arrived: consuming WorkerHandle.Arrived) {
        memory = arrived.memory
        doorbell = arrived.doorbell
        reportsMemory = arrived.reportsMemory
        tasks = LaneReader(memory.tasks)
        results = LaneWriter(memory.results)
        socket = DescriptorSocket(arrived.socket.number)
        ownedSocket = arrived.socket
        resultInfo = [CarriedDescriptors.userInfoKey: resultDescriptors]
        // Safe without a reference to this object, which lasts as long as its process.
        writer.lender = { [unowned self] size in lend(size) }
    }

    /// The body of a worker's process.
    static func serve(_ handle: WorkerHandle) {
        // Ctrl-C is the pool's to handle: it ends its workers in order.
        signal(SIGINT, SIG_IGN)
        guard let arrived = handle.take() else { fatalError("a worker was started without its memory") }
        WorkerLoop(arrived).run()
    }

    /// Serves until the pool says stop.
    private func run() {
        clock = mp_now()
        memory.setStatus(.serving, 1)
        while !hasFailed {
            guard let record = tasks.next() else {
                if tasks.isCorrupt { fatalError("the memory that a pool shares with this worker is damaged") }
                tasks.release()
                // A pool that has more to say than there was room for hears of nothing but results otherwise.
                if tasks.isAskedForRoom() { sayDrained() }
                tasks.sleep()
                clock = mp_now()
                continue
            }
            let head = WorkerRecord(start: record.start)
            switch record.kind {
            case WorkerRecordKind.task: perform(head)
            case WorkerRecordKind.definition: define(head)
            case WorkerRecordKind.forget: forget(head)
            case WorkerRecordKind.initializer: initialize(head)
            case WorkerRecordKind.trim: forgetSegments()
            case WorkerRecordKind.stop: return
            default: fatalError("a pool sent this worker a record of kind \(record.kind)")
            }
            tasks.advance(over: record)
            // A pool that waits for room looks again when a result comes.
            tasks.release()
        }
    }

    // MARK: - Threads

    /// Awaits `body` and returns when it has ended.
    ///
    /// - Parameter ticket: The task that it is; it is cancelled when the pool asks for that.
    func wait(ticket: UInt64, for body: @escaping @Sendable () async -> Void) {
        let isDone = Flag()
        let attention = memory.attention
        // Before it begins: somebody who sees it at work may want it cancelled at once.
        memory.setStatus(.awaited, ticket)
        let task = Task.detached {
            await body()
            isDone.raise()
            attention.add(1)
            attention.wake(.max)
        }
        while true {
            let seen = attention.load()
            if isDone.isRaised { break }
            if memory.isAskedToCancel(ticket) { task.cancel() }
            _ = attention.wait(while: seen, until: .never)
        }
        memory.setStatus(.awaited, 0)
    }

    /// Goes on in another thread if this is the main thread; never returns then.
    func leaveMainThread(_ goOn: @escaping @Sendable () -> Void) {
        guard isOnMainThread else { return goOn() }
        isOnMainThread = false
        do {
            try Thread.start(name: "mp-worker", stackSize: Self.stackSize) { [self] in
                // A trap can speak its last words only where its signal is not blocked.
                var none = sigset_t()
                sigemptyset(&none)
                pthread_sigmask(SIG_SETMASK, &none, nil)
                goOn()
                finishRecord()
                run()
                exit(0)
            }
        } catch {
            fatalError("a worker could not start its thread: \(error)")
        }
        mp_drain_main_queue()
    }

    /// Goes on behind the record that was at hand when the thread changed.
    private func finishRecord() {
        guard let record = tasks.next() else { return }
        tasks.advance(over: record)
        tasks.release()
    }

    /// Lets the pool see what was written.
    func publish() {
        results.publishAndWake(SharedWord(doorbell.base, offset: 0))
    }
}

/// Something that happens once.
private final class Flag: Sendable {
    private let value = Atomic<Bool>(false)

    /// Whether it has happened. Pairs with the release in `raise`.
    var isRaised: Bool { value.load(ordering: .acquiring) }

    /// Notes that it has happened.
    func raise() {
        value.store(true, ordering: .releasing)
    }
}
