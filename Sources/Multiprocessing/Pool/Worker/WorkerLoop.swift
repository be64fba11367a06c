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
    var tasks: LaneReader
    var results: LaneWriter
    var functions: [UInt32: WorkerFunction] = [:]
    var writer = WireWriter(capacity: 4096)
    var segments = SegmentReceiver()
    var resultSegments = SegmentSender()
    /// Whether the pool wants to know after each task how much memory this process has.
    let reportsMemory: Bool
    var lastMemoryReport: Int64 = 0
    /// The descriptors of handles in results, and how results find them.
    let resultDescriptors = CarriedDescriptors()
    let resultInfo: [CodingUserInfoKey: Any]
    /// What records without descriptors are decoded with.
    let withoutDescriptors: [CodingUserInfoKey: Any] = [
        CarriedDescriptors.userInfoKey: CarriedDescriptors(received: [])
    ]
    /// When the last thing ended, in nanoseconds.
    var clock: Int64 = 0
    var finished: UInt64 = 0
    var busy: UInt64 = 0
    private let doorbell: MemoryRegion
    private let ownedSocket: OwnedDescriptor
    private var isOnMainThread = true

    private init(_ arrived: consuming WorkerHandle.Arrived) {
        memory = arrived.memory
        doorbell = arrived.doorbell
        reportsMemory = arrived.reportsMemory
        tasks = LaneReader(memory.tasks)
        results = LaneWriter(memory.results)
        socket = DescriptorSocket(arrived.socket.number)
        ownedSocket = arrived.socket
        resultInfo = [CarriedDescriptors.userInfoKey: resultDescriptors]
    }

    /// The body of a worker's process.
    static func serve(_ handle: WorkerHandle) {
        // Ctrl-C is the pool's to handle: it ends its workers in order.
        signal(SIGINT, SIG_IGN)
        guard let arrived = handle.take() else { return }
        WorkerLoop(arrived).run()
    }

    /// Serves until the pool says stop.
    private func run() {
        clock = mp_now()
        while true {
            guard let record = tasks.next() else {
                if tasks.isCorrupt { preconditionFailure("the memory that a pool shares with this worker is damaged") }
                tasks.release()
                tasks.sleep()
                clock = mp_now()
                continue
            }
            let head = WorkerRecord(start: record.start)
            switch record.kind {
            case WorkerRecordKind.task: perform(head)
            case WorkerRecordKind.definition: define(head)
            case WorkerRecordKind.forget: functions[UInt32(truncatingIfNeeded: head.ticket)] = nil
            case WorkerRecordKind.initializer: initialize(head)
            case WorkerRecordKind.stop: return
            default: preconditionFailure("a pool sent this worker a record of kind \(record.kind)")
            }
            tasks.advance(over: record)
            // A pool that waits for room looks again when a result comes.
            tasks.release()
        }
    }

    // MARK: - Threads

    /// Awaits `body` and returns when it has ended.
    func wait(for body: @escaping @Sendable () async -> Void) {
        let done = Notice()
        Task.detached {
            await body()
            done.post()
        }
        _ = done.wait(until: .never)
    }

    /// Goes on in another thread if this is the main thread; never returns then.
    func leaveMainThread(_ goOn: @escaping @Sendable () -> Void) {
        guard isOnMainThread else { return goOn() }
        isOnMainThread = false
        do {
            try Thread.start(name: "mp-worker", stackSize: Self.stackSize) { [self] in
                goOn()
                finishRecord()
                run()
                exit(0)
            }
        } catch {
            preconditionFailure("a worker could not start its thread: \(error)")
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
