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
        /// The place in the lane behind the record. Once the worker has passed it, the record's memory may hold something else.
        let end: UInt64
        /// The segment with its payload.
        let segment: Int?
        /// The number of its function.
        let function: UInt32
        /// The longest time for a piece.
        let timeout: Duration?
        /// Whether its pieces are answered one by one.
        let isElementwise: Bool
        var isRevoked = false
    }

    /// Its number among all workers that the pool ever had.
    let number: Int
    let name: String
    let memory: WorkerMemory
    let socket: DescriptorSocket
    private let ownedSocket: OwnedDescriptor
    // Unchecked is safe for these three: they are plain values that call nothing back, so that no access can begin during another.
    @exclusivity(unchecked) var tasks: LaneWriter
    @exclusivity(unchecked) var results: LaneReader
    @exclusivity(unchecked) var outstanding = FIFO<Outstanding>()
    // And for the plain values below, which are changed under the pool's lock.
    /// How many of them were taken back, and lie there until the worker has passed them.
    @exclusivity(unchecked) var revokedCount = 0
    /// Whether it gets no more tasks because it has had as many as one may.
    @exclusivity(unchecked) var isSpent = false
    /// How the tasks are lost whose end somebody has asked for, by their tickets; and the element of theirs that is to blame for it.
    @exclusivity(unchecked) var losses: [UInt64: (loss: Loss, element: Int?)] = [:]
    /// The task that was asked last to begin no further element.
    @exclusivity(unchecked) var halted: UInt64 = 0
    /// What it was about to do when it was found to be gone, if that was before its end was heard of.
    @exclusivity(unchecked) var phaseWhenGone: Phase?
    /// Why the pool has killed it, if it has.
    @exclusivity(unchecked) var sentence: String?
    /// Whether it may have to be woken for what was published in its lane.
    @exclusivity(unchecked) var isWakeDue = false
    var segments = SegmentSender()
    var lentSegments: Set<Int> = []
    /// Segments that arguments are being encoded into, or wait in.
    var loans: [SegmentLoan.Note] = []
    var resultSegments = SegmentReceiver()
    /// When a segment was used last, in nanoseconds.
    @exclusivity(unchecked) var lastLarge: Int64 = 0
    /// Its results that stay in their segments.
    let leases = SegmentLease.Count()
    @exclusivity(unchecked) private var known: Set<UInt32> = []
    /// The function of the last task, which it knows; 0: none.
    @exclusivity(unchecked) private var lastFunction: UInt32 = 0
    @exclusivity(unchecked) private var order = FIFO<UInt32>()
    /// Segments with functions, free once the worker has passed the place in its lane.
    @exclusivity(unchecked) private var definitionSegments: [(segment: Int, end: UInt64)] = []
    @exclusivity(unchecked) var phase = Phase.starting
    /// Whether it calls an initializer before its first task.
    @exclusivity(unchecked) var hasInitializer = false
    /// The round of starts in which it was begun, as `StartFailures` counts them.
    var round = 0
    /// The worker's end of the socket, until it has it.
    var theirSocket: SharedDescriptor?
    var process: LaunchedProcess?
    var child: ChildProcess?
    /// When it was started, in nanoseconds.
    var started: Int64?
    /// Attempts it was given.
    @exclusivity(unchecked) var given = 0
    /// How many tasks it should have.
    @exclusivity(unchecked) var readingAhead = ReadingAhead()
    @exclusivity(unchecked) var stopIsPending = false
    /// Whether the last task did not fit into its lane; it has to take something first.
    @exclusivity(unchecked) private(set) var isFull = false
    /// What the worker had taken when the lane was full.
    @exclusivity(unchecked) private var releasedWhenFull: UInt64 = 0
    /// Whether its task was asked to cancel itself, and nothing is begun behind it.
    @exclusivity(unchecked) var isInterrupted = false
    /// How many workers were lost in its place before.
    var restarts = 0
    /// Whether anything has come from it: it was started in good order.
    var hasAnswered = false
    /// Ends it if it does not end by itself.
    var insistence: Reactor.Token?
    /// Whether it may have been idle since the last task, for the list of those.
    @exclusivity(unchecked) var isListedIdle = false

    init(number: Int, name: String, socket: consuming OwnedDescriptor) throws(SystemError) {
        self.number = number
        self.name = name
        memory = try WorkerMemory()
        self.socket = DescriptorSocket(socket.number)
        ownedSocket = socket
        tasks = LaneWriter(memory.tasks)
        results = LaneReader(memory.results)
    }

    /// Whether it is without a task and can be given one.
    ///
    /// One that is only being started finds it in its lane when it is there, a moment later. An initializer may take as long as it likes: what lay behind it would wait there while others have nothing to do.
    var canTakeFirst: Bool {
        (phase == .ready || phase == .starting && !hasInitializer)
            && outstanding.isEmpty && !isSpent && !isFull && !isInterrupted
    }

    /// Whether it has a task whose outcome is open: not one that it is ended for.
    var isAtWork: Bool { phase != .ended && outstanding.contains { !$0.isRevoked && losses[$0.ticket] == nil } }

    /// Whether it can be given one more to read ahead.
    var canTakeMore: Bool { phase == .ready && outstanding.count < readingAhead.depth && !isFull && !isInterrupted }

    /// How many tasks it has that were not taken back.
    var load: Int { outstanding.count - revokedCount }

    /// Whether it has to be woken for a task.
    var isAsleep: Bool { tasks.readerIsAsleep }

    /// How many nanoseconds it is likely to need for what it has.
    var backlog: Double { Double(outstanding.count) * (readingAhead.expected ?? .infinity) }

    /// How much it had taken when that was looked at last, and since when it was so.
    @exclusivity(unchecked) private var progress: (released: UInt64, since: Int64) = (.max, 0)

    /// Whether it is known to be at something that takes longer than was to be expected, for which what it has behind that cannot wait.
    @exclusivity(unchecked) var isHeldUp = false

    /// Begins to count anew how long it has taken nothing: it is given something to do.
    func noteBegin() {
        progress.released = .max
        isHeldUp = false
    }

    /// For how many nanoseconds it has taken nothing, as far as was looked.
    func stillness(at now: Int64) -> Int64 {
        let released = tasks.released
        if released != progress.released { progress = (released, now) }
        return now - progress.since
    }

    /// Whether results are there.
    @inline(__always)
    var hasResults: Bool { !results.isEmpty }

    /// Writes a record whose payload fits into the lane and has no descriptors beside it; nil when the lane is full.
    @inline(__always)
    func writeInline(
        _ kind: UInt8,
        _ flags: WorkerRecordFlags,
        ticket: UInt64,
        payload: UnsafeRawBufferPointer,
        last: UInt64
    ) -> WorkerRecord? {
        guard let start = tasks.reserve(Lane.recordSize(WorkerRecord.headSize + payload.count), kind: kind) else {
            return nil
        }
        let record = WorkerRecord(start: start)
        record.write(flags, descriptorCount: 0, ticket: ticket, length: payload.count, last: last)
        if let base = payload.baseAddress { record.payload.copyMemory(from: base, byteCount: payload.count) }
        return record
    }

    /// Writes a record with a payload; nil when the lane or the socket is full.
    ///
    /// - Parameter lent: The segment that the payload is in already, if it is in one.
    /// - Throws: `SystemError` when there is no memory or descriptor for it.
    func write(
        _ kind: UInt8,
        _ flags: WorkerRecordFlags,
        ticket: UInt64,
        length: Int,
        descriptors: [Int32],
        last: UInt64,
        lent: SegmentLoan? = nil,
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
        let loan: SegmentSender.Loan
        let filled = segment(of: lent)
        if let filled {
            loan = filled
        } else {
            loan = try borrow(length)
            fill(loan.region.base)
        }
        flags.insert(.inSegment)
        if loan.isNew {
            flags.insert(.newSegment)
            descriptors.append(loan.region.descriptor)
        }
        let reserved = Result { () throws(SystemError) in try reserve(kind, WorkerRecord.headSize, descriptors) }
        guard case .success(let record?) = reserved else {
            // The worker has not been told of it, so it must not be kept as if it had.
            if loan.isNew, filled == nil { segments.forget(loan.slot) }
            _ = try reserved.get()
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
        // The worker has it from now on.
        if loan.isNew { loan.region.closeDescriptor() }
        if filled != nil { lent?.note.isNew = false }
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

    /// Whether the worker knows a function.
    @inline(__always)
    func knows(_ function: UInt32) -> Bool {
        if function == lastFunction, function != 0 { return true }
        guard known.contains(function) else { return false }
        lastFunction = function
        return true
    }

    /// Notes that the worker does not know a function after all.
    func unlearn(_ function: UInt32) {
        known.remove(function)
        if lastFunction == function { lastFunction = 0 }
    }

    /// Notes that the worker knows a function, and lets it forget the one it has known longest.
    func remember(_ function: UInt32) throws(SystemError) {
        known.insert(function)
        order.append(function)
        guard known.count > Self.mostFunctions, let oldest = order.popFirst() else { return }
        let isNeeded = outstanding.contains { $0.function == oldest }
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
        if written == nil {
            order.append(oldest)
        } else {
            known.remove(oldest)
            if lastFunction == oldest { lastFunction = 0 }
        }
    }

    /// Keeps the segment of the function that was written last, until the worker has read it.
    func keepDefinition(_ segment: Int?) {
        if let segment { definitionSegments.append((segment, tasks.position)) }
    }

    /// Gives the segments back that functions came in.
    func freeDefinitions() {
        while let first = definitionSegments.first, tasks.isReleased(first.end) {
            lentSegments.remove(first.segment)
            definitionSegments.removeFirst()
        }
    }

    // MARK: - Room

    /// Notes that something did not fit into the lane, so that nothing more is written until the worker has taken something.
    func noteFull() {
        // The function of a task that did not fit may have been written before it. In a lane that the worker has emptied meanwhile nothing else would ever be taken.
        tasks.publishAndWake()
        isFull = true
        releasedWhenFull = tasks.released
        tasks.askForRoom()
    }

    /// Looks whether there may be room again in a lane that was full.
    func lookForRoom() {
        guard isFull || stopIsPending else { return }
        // Nothing comes from a worker that has nothing to answer, so it has to be asked.
        tasks.askForRoom()
        if tasks.released != releasedWhenFull || tasks.isDrained { isFull = false }
    }

    // MARK: - The end

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
        else { return tasks.askForRoom() }
        _ = written
        stopIsPending = false
        tasks.publishAndWake()
    }
}
