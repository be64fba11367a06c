// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import MultiprocessingChannels
import MultiprocessingPrimitives
import MultiprocessingWireCoding
import Testing

@testable import Multiprocessing

/// The pool of a session, which does nothing of itself.
private final class StillHost: EngineHost {
    func withLock<R>(_ body: () throws -> R) rethrows -> R { try body() }
    func engineChanged() {}
    func release(_ leftover: Any) {}
    func afterwards(_ action: @escaping @Sendable () -> Void) { action() }
}

/// Notes what a session tells.
private final class Notes: EngineEvents {
    var told: [String] = []

    func finished(_ ticket: UInt64, _ result: ResultEnvelope) { told.append("finished \(ticket)") }
    func answered(_ ticket: UInt64, piece: Int, _ result: ResultEnvelope) { told.append("answered \(ticket).\(piece)") }
    func broke(_ error: any Error) { told.append("broke") }

    func lost(_ ticket: UInt64, _ loss: Loss) {
        switch loss {
        case .notBegun: told.append("not begun \(ticket)")
        case .timedOut: told.append("timed out \(ticket)")
        default: told.append("lost \(ticket)")
        }
    }
}

/// A session with one worker that is no process: the test writes and reads what one would.
private final class Stage {
    let host = StillHost()
    let session: LocalSession
    let worker: LocalWorker
    let notes = Notes()
    /// The worker's end of the socket.
    let socket: OwnedDescriptor
    var tasks: LaneReader
    var results: LaneWriter

    init(workers count: Int = 1) throws {
        session = try LocalSession(WorkerSpecification(count: count), host: host)
        let pair = try Link.pair()
        worker = try LocalWorker(number: 1, name: "Worker", socket: try pair.here.socket.duplicate())
        socket = try pair.there.socket.duplicate()
        worker.phase = .ready
        session.workers.append(worker)
        session.listIdle(worker)
        tasks = LaneReader(worker.memory.tasks)
        results = LaneWriter(worker.memory.results)
    }

    /// Adds a worker that has nothing to do.
    func addWorker() throws -> LocalWorker {
        let pair = try Link.pair()
        let other = try LocalWorker(number: 2, name: "Other", socket: try pair.here.socket.duplicate())
        other.phase = .ready
        session.workers.append(other)
        session.listIdle(other)
        return other
    }

    /// Gives the worker a task of a few pieces that are answered one by one and whose time is limited: to so much that no timer comes while a test looks, however slow the machine is.
    func submit(ticket: UInt64, pieces: Int) throws {
        let input = TaskInput()
        let block = TaskInput.Block()
        for piece in 0..<pieces {
            try block.append(isPrefixed: true) { writer, _ in writer.write(UInt64(piece)) }
        }
        input.append(block)
        let function = TaskFunction(number: 1, isMapping: true, bytes: [1, 2, 3], CarriedDescriptors())
        session.submit(
            TaskEnvelope(
                ticket: ticket,
                function: function,
                input: .pieces(input),
                pieces: 0..<pieces,
                attempt: 0,
                isElementwise: true,
                timeout: .seconds(600)
            )
        )
    }

    /// Does as a worker that passes over the function and takes the task.
    func take(ticket: UInt64) throws {
        while let record = tasks.next() {
            tasks.advance(over: record)
            if record.kind == WorkerRecordKind.task { #expect(WorkerRecord(start: record.start).take()) }
        }
        // The record at hand is given back when it is done.
        worker.memory.setStatus(.element, 0)
        worker.memory.setStatus(.since, UInt64(bitPattern: mp_now() - 6_000_000_000_000))
        worker.memory.setStatus(.task, ticket)
    }

    /// Does as a worker that is at the next piece, since just now; returns whether it may begin it.
    func begin(ticket: UInt64, piece: Int) -> Bool {
        worker.memory.setStatus(.since, UInt64(bitPattern: mp_now()))
        worker.memory.setStatus(.element, UInt64(piece))
        return !worker.memory.isAskedToHalt(ticket)
    }

    /// Does as a worker whose memory was overwritten.
    func write(_ damage: LaneDamage) throws {
        var size = Lane.recordSize(WorkerRecord.headSize)
        if damage == .noHead {
            // The last one in the lane, behind which there is nothing.
            for size in [32 << 10, (32 << 10) - Lane.unit] {
                guard let start = results.reserve(size, kind: WorkerRecordKind.drained) else { throw TestFailure() }
                WorkerRecord(start: start).write([], descriptorCount: 0, ticket: 0, length: 0)
            }
            results.publish()
            #expect(poll() == [])
            size = Lane.unit
        }
        if damage.sendsDescriptor {
            let region = try MemoryRegion(size: 4096, name: "test")
            let isSent = try withExtendedLifetime(region) {
                try DescriptorSocket(socket.number).send([region.descriptor], wait: true)
            }
            #expect(isSent)
        }
        guard let start = results.reserve(size, kind: damage.kind) else { throw TestFailure() }
        if damage == .noHead {
            start.storeBytes(of: 0, toByteOffset: 8, as: UInt64.self)
        } else {
            WorkerRecord(start: start).write(
                damage.flags,
                descriptorCount: damage.descriptorCount,
                ticket: damage.ticket,
                length: 0,
                segment: damage.segment
            )
            start.storeBytes(of: damage.length, toByteOffset: 16, as: UInt64.self)
        }
        results.publish()
    }

    func write(_ kind: UInt8, ticket: UInt64, index: Int) {
        guard let start = results.reserve(Lane.recordSize(WorkerRecord.headSize), kind: kind) else { return }
        WorkerRecord(start: start).write([], descriptorCount: 0, ticket: ticket, length: 0, index: index)
        results.publish()
    }

    func poll() -> [String] {
        notes.told = []
        session.poll(notes)
        return notes.told
    }
}

/// What a worker may leave in its lane whose memory was overwritten. It has task 7; another one has task 8.
enum LaneDamage: CaseIterable {
    case noHead, tooLong, negativeLength, unknownKind, kindForWorkers
    case nobodysTask, anothersTask, nobodysElement, anothersElement, revokedElement
    case noSegment, negativeSegment, unknownSegment, segmentBeyond, noDescriptor, tooManyDescriptors

    var kind: UInt8 {
        switch self {
        case .unknownKind: 200
        case .kindForWorkers: WorkerRecordKind.stop
        case .nobodysElement, .anothersElement, .revokedElement: WorkerRecordKind.element
        default: WorkerRecordKind.result
        }
    }

    var ticket: UInt64 {
        switch self {
        case .nobodysTask, .nobodysElement: 99
        case .anothersTask, .anothersElement: 8
        case .revokedElement: 9
        default: 7
        }
    }

    var length: UInt64 {
        switch self {
        case .tooLong: 1
        case .negativeLength, .negativeSegment: .max - 6
        case .noSegment, .unknownSegment, .segmentBeyond: 100
        default: 0
        }
    }

    var flags: WorkerRecordFlags {
        switch self {
        case .noSegment, .unknownSegment: .inSegment
        case .negativeSegment, .segmentBeyond, .noDescriptor: [.inSegment, .newSegment]
        default: []
        }
    }

    var segment: Int {
        switch self {
        case .unknownSegment: 3
        case .noSegment: SegmentSender.unkept
        // So far behind the memory that writing there would end the process.
        case .segmentBeyond: 0x4000_0000
        default: 0
        }
    }

    var descriptorCount: Int {
        switch self {
        case .negativeSegment, .segmentBeyond: 1
        case .noDescriptor: 1
        case .tooManyDescriptors: 0xffff
        default: 0
        }
    }

    /// Whether there is a descriptor beside the record.
    var sendsDescriptor: Bool { self == .negativeSegment || self == .segmentBeyond }
}

/// What the pool and a worker say to each other where they meet in the same moment.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct LocalSessionTests {
    @Test func `a lane that was emptied while a task did not fit into it takes tasks again`() throws {
        let stage = try Stage()
        let worker = stage.worker
        // A function was written, the task behind it had no room, and before that was noted the worker had taken all that it could see.
        _ = worker.tasks.reserve(64, kind: WorkerRecordKind.definition)
        worker.noteFull()
        while let record = stage.tasks.next() { stage.tasks.advance(over: record) }
        stage.tasks.release()
        worker.lookForRoom()
        #expect(worker.canTakeFirst)
    }

    @Test func `an element that takes too long is to blame, also if it answers in the last moment`() throws {
        let stage = try Stage()
        try stage.submit(ticket: 7, pieces: 3)
        try stage.take(ticket: 7)
        stage.session.checkTimes()
        // It answers all the same, and goes no further.
        stage.write(WorkerRecordKind.element, ticket: 7, index: 0)
        #expect(!stage.begin(ticket: 7, piece: 1))
        stage.write(WorkerRecordKind.result, ticket: 7, index: 1)
        #expect(stage.poll() == ["timed out 7"])
    }

    @Test func `the element behind one that was late is not blamed for it`() throws {
        let stage = try Stage()
        try stage.submit(ticket: 7, pieces: 3)
        try stage.take(ticket: 7)
        // The pool has seen that the first takes too long. It is done in this moment, and the second one begins.
        #expect(stage.begin(ticket: 7, piece: 1))
        #expect(!stage.worker.halt(7, at: 0))
        stage.write(WorkerRecordKind.element, ticket: 7, index: 0)
        stage.write(WorkerRecordKind.element, ticket: 7, index: 1)
        #expect(!stage.begin(ticket: 7, piece: 2))
        stage.write(WorkerRecordKind.result, ticket: 7, index: 2)
        // What was not begun is nobody's fault.
        #expect(stage.poll() == ["answered 7.0", "answered 7.1", "not begun 7"])
    }

    @Test func `the begin of an element is never taken for that of the one before it`() throws {
        let stage = try Stage()
        try stage.submit(ticket: 7, pieces: 2)
        try stage.take(ticket: 7)
        #expect(stage.begin(ticket: 7, piece: 1))
        stage.session.checkTimes()
        #expect(stage.worker.losses.isEmpty)
        #expect(stage.worker.halted == 0)
    }

    @Test(arguments: LaneDamage.allCases)
    func `what makes no sense in a worker's lane fails that worker, and no other`(_ damage: LaneDamage) throws {
        let stage = try Stage(workers: 2)
        try stage.submit(ticket: 7, pieces: 2)
        try stage.take(ticket: 7)
        // Such short tasks are read ahead.
        stage.worker.readingAhead.learn(1000)
        try stage.submit(ticket: 9, pieces: 1)
        let other = try stage.addWorker()
        try stage.submit(ticket: 8, pieces: 1)
        #expect(stage.worker.isGiven(9) && other.isGiven(8))
        if damage == .revokedElement { stage.session.cancel(9, kill: false) }
        try stage.write(damage)
        #expect(stage.poll() == (damage == .revokedElement ? ["not begun 9"] : []))
        #expect(stage.worker.phase == .retiring)
        #expect(stage.session.restarts == 0)
        // It is made to end. What comes from it until then is not read; that it had begun is lost, and only that.
        stage.write(WorkerRecordKind.result, ticket: 7, index: 2)
        #expect(stage.poll() == [])
        stage.session.ended.append(stage.worker)
        #expect(stage.poll() == (damage == .revokedElement ? ["lost 7"] : ["lost 7", "not begun 9"]))
        #expect(stage.session.restarts == 1)
        // The other one goes on.
        #expect(other.phase == .ready)
        var results = LaneWriter(other.memory.results)
        let reserved = results.reserve(Lane.recordSize(WorkerRecord.headSize), kind: WorkerRecordKind.result)
        let start = try #require(reserved)
        WorkerRecord(start: start).write([], descriptorCount: 0, ticket: 8, length: 0, index: 1)
        results.publish()
        #expect(stage.poll() == ["finished 8"])
    }

    @Test func `a worker whose words about itself and its lane were overwritten does no harm`() throws {
        let stage = try Stage()
        try stage.submit(ticket: 7, pieces: 1)
        let memory = stage.worker.memory
        for word in [WorkerMemory.StatusWord.element, .finished, .busy, .resident] { memory.setStatus(word, .max) }
        memory.setStatus(.task, 7)
        memory.setStatus(.since, 0)
        #expect(stage.session.statistics.count == 1)
        memory.setStatus(.since, .max)
        stage.session.checkTimes()
        // It has taken more, it says, than it was ever given: so it is given no more than fits in any case.
        memory.region.base.storeBytes(of: 1 << 40, toByteOffset: 128 + 64, as: UInt64.self)
        var count = 0
        while count < 100, stage.worker.tasks.reserve(16 << 10, kind: WorkerRecordKind.forget) != nil { count += 1 }
        #expect(count == 3)
        #expect(stage.worker.tasks.reserve(16 << 10, kind: WorkerRecordKind.forget) == nil)
    }

    @Test func `tasks of a job that is given up are taken back together, but for the one that was begun`() throws {
        let stage = try Stage()
        try stage.submit(ticket: 7, pieces: 1)
        try stage.take(ticket: 7)
        stage.worker.readingAhead.learn(1000)
        for ticket: UInt64 in 8...12 { try stage.submit(ticket: ticket, pieces: 1) }
        stage.session.cancel([7, 8, 10, 12, 99], kill: false)
        #expect(stage.poll().sorted() == ["not begun 10", "not begun 12", "not begun 8"])
        for ticket: UInt64 in 7...12 { #expect(stage.worker.isGiven(ticket) == [7, 9, 11].contains(ticket)) }
        #expect(stage.worker.load == 3)
        // A second time there is nothing to be told.
        stage.session.cancel([7, 8, 10, 12, 99], kill: false)
        #expect(stage.poll() == [])
        stage.session.cancel(9, kill: false)
        #expect(stage.poll() == ["not begun 9"])
    }

    @Test func `a worker is given no task before its initializer has returned`() throws {
        let stage = try Stage()
        stage.worker.phase = .starting
        #expect(stage.session.wantsTasks)
        stage.worker.hasInitializer = true
        #expect(!stage.session.wantsTasks)
        stage.write(WorkerRecordKind.ready, ticket: 0, index: 0)
        #expect(stage.poll() == [])
        #expect(stage.session.wantsTasks)
        try stage.submit(ticket: 7, pieces: 1)
        #expect(stage.worker.isGiven(7))
    }

    @Test func `a function that a worker could not keep is sent again`() throws {
        let stage = try Stage()
        try stage.submit(ticket: 7, pieces: 1)
        #expect(stage.worker.knows(1))
        stage.write(WorkerRecordKind.unknown, ticket: 1, index: 0)
        #expect(stage.poll() == [])
        #expect(!stage.worker.knows(1))
    }
}
