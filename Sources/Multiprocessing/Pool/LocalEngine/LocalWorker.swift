// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingChannels
internal import MultiprocessingPrimitives

/// One worker process, as its pool sees it.
///
/// `@unchecked Sendable` is safe because everything that changes is used under the pool's lock only.
final class LocalWorker: @unchecked Sendable {
    /// What a worker is about to do.
    enum Phase {
        /// It has been asked for, or runs its initializer.
        case starting
        /// It takes tasks.
        case ready
        /// It gets no more tasks, and ends after those it has.
        case retiring
        /// It is gone.
        case ended
    }

    /// A task in its lane.
    struct Outstanding {
        let ticket: UInt64
        let record: WorkerRecord
        /// The segment with its payload.
        let segment: Int?
        /// What keeps its descriptors open, and its payload.
        let envelope: TaskEnvelope
        var isRevoked = false
        /// Whether somebody has asked for its end.
        var loss: Loss?
    }

    /// Its number among all workers that the pool ever had.
    let number: Int
    let name: String
    let memory: WorkerMemory
    let socket: DescriptorSocket
    private let ownedSocket: OwnedDescriptor
    var tasks: LaneWriter
    var results: LaneReader
    var outstanding = FIFO<Outstanding>()
    var segments = SegmentSender()
    var lentSegments: Set<Int> = []
    var resultSegments = SegmentReceiver()
    var known: Set<UInt32> = []
    private var order = FIFO<UInt32>()
    /// Segments with functions, free once the worker has answered anything behind them.
    var definitionSegments: [Int] = []
    var phase = Phase.starting
    /// The worker's end of the socket, until it has it.
    var theirSocket: SharedDescriptor?
    var process: LaunchedProcess?
    var child: ChildProcess?
    /// Attempts it was given.
    var given = 0
    /// Nanoseconds a task takes here, as far as is known.
    var taskTime: Double?
    var stopIsPending = false
    /// Whether the last task did not fit into its lane; it has to take something first.
    var isFull = false
    /// Whether it may have been idle since the last task, for the list of those.
    var isListedIdle = false

    init(number: Int, name: String, socket: consuming OwnedDescriptor) throws(SystemError) {
        self.number = number
        self.name = name
        memory = try WorkerMemory()
        self.socket = DescriptorSocket(socket.number)
        ownedSocket = socket
        tasks = LaneWriter(memory.tasks)
        results = LaneReader(memory.results)
    }

    /// How many tasks it should have, the one at work included: many short ones, so that it never waits for the pool; a single long one, since others may be free sooner.
    var depth: Int {
        guard phase == .ready, let taskTime else { return 1 }
        return max(1, min(256, Int(400_000 / max(taskTime, 1))))
    }

    /// Whether it is without a task and can be given one.
    var canTakeFirst: Bool {
        (phase == .ready || phase == .starting) && outstanding.isEmpty && !isFull
    }

    /// Whether it can be given one more to read ahead.
    var canTakeMore: Bool { phase == .ready && outstanding.count < depth && !isFull }

    /// Learns how long a task took.
    func learn(_ nanoseconds: Int64) {
        let time = Double(max(nanoseconds, 1))
        // Rises at once, so that little is read ahead behind long tasks; falls by and by.
        taskTime = taskTime.map { time > $0 ? ($0 + 3 * time) / 4 : ($0 * 7 + time) / 8 } ?? time
    }

    /// Whether results are there.
    @inline(__always)
    var hasResults: Bool { !results.isEmpty }

    /// Writes a record with a payload; false when the lane or the socket is full.
    ///
    /// - Throws: `SystemError` when there is no memory or descriptor for it.
    func write(
        _ kind: UInt8,
        _ flags: WorkerRecordFlags,
        ticket: UInt64,
        length: Int,
        descriptors: [Int32],
        last: UInt64,
        _ fill: (UnsafeMutableRawPointer) -> Void
    ) throws(SystemError) -> (record: WorkerRecord, segment: Int?)? {
        var flags = flags
        var descriptors = descriptors
        guard length > WorkerRecord.largestInline else {
            guard let record = try reserve(kind, WorkerRecord.headSize + length, descriptors) else { return nil }
            record.write(flags, descriptorCount: descriptors.count, ticket: ticket, length: length, last: last)
            fill(record.payload)
            return (record, nil)
        }
        let loan = try segments.borrow(length) { !lentSegments.contains($0) }
        fill(loan.region.base)
        flags.insert(.inSegment)
        if loan.isNew {
            flags.insert(.newSegment)
            descriptors.append(loan.region.descriptor)
        }
        guard let record = try reserve(kind, WorkerRecord.headSize, descriptors) else {
            // The worker has not been told of it, so it must not be kept as if it had.
            if loan.isNew { segments.forget(loan.slot) }
            return nil
        }
        record.write(
            flags,
            descriptorCount: descriptors.count,
            ticket: ticket,
            length: length,
            segment: loan.slot,
            last: last
        )
        if loan.slot != SegmentSender.unkept { lentSegments.insert(loan.slot) }
        return (record, loan.slot)
    }

    private func reserve(_ kind: UInt8, _ size: Int, _ descriptors: [Int32]) throws(SystemError) -> WorkerRecord? {
        // Many descriptors take several packets; with all before them received there is room for each.
        if descriptors.count > 200, !tasks.isDrained { return nil }
        let before = tasks
        guard let start = tasks.reserve(Lane.recordSize(size), kind: kind) else { return nil }
        if !descriptors.isEmpty {
            do {
                guard try socket.send(descriptors, wait: false) else {
                    tasks = before
                    return nil
                }
            } catch {
                tasks = before
                throw error
            }
        }
        return WorkerRecord(start: start)
    }

    /// The most functions that a worker keeps.
    private static let mostFunctions = 128

    /// Notes that the worker knows a function, and lets it forget the one it has known longest.
    func remember(_ function: UInt32) throws(SystemError) {
        known.insert(function)
        order.append(function)
        guard known.count > Self.mostFunctions, let oldest = order.popFirst() else { return }
        let isNeeded = outstanding.contains { $0.envelope.function.number == oldest }
        let written =
            isNeeded
            ? nil
            : try write(
                WorkerRecordKind.forget,
                [],
                ticket: UInt64(oldest),
                length: 0,
                descriptors: [],
                last: 0,
                { _ in }
            )
        if written == nil { order.append(oldest) } else { known.remove(oldest) }
    }

    /// Gives the segments back that functions came in.
    func freeDefinitions() {
        guard !definitionSegments.isEmpty else { return }
        for segment in definitionSegments { lentSegments.remove(segment) }
        definitionSegments = []
    }

    /// Notes that the worker will pass over a task.
    func markRevoked(_ ticket: UInt64) {
        outstanding.modify { entry in
            guard entry.ticket == ticket else { return false }
            entry.isRevoked = true
            return true
        }
    }

    /// Takes the tasks off the books that were answered with `ticket`, or revoked before it; nil when there is none with it.
    func settle(_ ticket: UInt64) -> Outstanding? {
        guard outstanding.contains(where: { $0.ticket == ticket && !$0.isRevoked }) else { return nil }
        while let entry = outstanding.popFirst() {
            release(entry)
            if entry.ticket == ticket { return entry }
        }
        return nil
    }

    /// Takes off what was revoked and lies in front.
    func dropRevoked() {
        while let entry = outstanding.first, entry.isRevoked {
            outstanding.popFirst()
            release(entry)
        }
    }

    private func release(_ entry: Outstanding) {
        if let segment = entry.segment { lentSegments.remove(segment) }
    }

    /// Asks the worker to end after what it has; tried again later when the lane is full.
    func stop() {
        stopIsPending = true
        guard phase != .ended,
            let written = try? write(
                WorkerRecordKind.stop,
                [],
                ticket: 0,
                length: 0,
                descriptors: [],
                last: 0,
                { _ in }
            )
        else { return }
        _ = written
        stopIsPending = false
        tasks.publishAndWake()
    }
}
