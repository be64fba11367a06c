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
    var tasks: LaneReader
    var results: LaneWriter

    init() throws {
        session = try LocalSession(WorkerSpecification(count: 1), host: host)
        let pair = try Link.pair()
        worker = try LocalWorker(number: 1, name: "Worker", socket: try pair.here.socket.duplicate())
        worker.phase = .ready
        session.workers.append(worker)
        session.listIdle(worker)
        tasks = LaneReader(worker.memory.tasks)
        results = LaneWriter(worker.memory.results)
    }

    /// Gives the worker a task of a few pieces that are answered one by one and whose time is limited.
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
                input: input,
                pieces: 0..<pieces,
                attempt: 0,
                isElementwise: true,
                timeout: .milliseconds(10)
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
        worker.memory.setStatus(.since, UInt64(bitPattern: mp_now() - 1_000_000_000))
        worker.memory.setStatus(.task, ticket)
    }

    /// Does as a worker that is at the next piece, since just now; returns whether it may begin it.
    func begin(ticket: UInt64, piece: Int) -> Bool {
        worker.memory.setStatus(.since, UInt64(bitPattern: mp_now()))
        worker.memory.setStatus(.element, UInt64(piece))
        return !worker.memory.isAskedToHalt(ticket)
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

/// What the pool and a worker say to each other where they meet in the same moment.
@Suite(.timeLimit(.minutes(10)), .leavesNothing)
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

    @Test func `a function that a worker could not keep is sent again`() throws {
        let stage = try Stage()
        try stage.submit(ticket: 7, pieces: 1)
        #expect(stage.worker.knows(1))
        stage.write(WorkerRecordKind.unknown, ticket: 1, index: 0)
        #expect(stage.poll() == [])
        #expect(!stage.worker.knows(1))
    }
}
