// SPDX-License-Identifier: Apache-2.0
//
// An engine that does to a pool whatever engines do when machines, networks and queues fail: it loses attempts before and after they are carried out, answers twice, late and in another order, sends frames that were damaged
// or are meant for others. What happens follows from its seed alone; nothing waits for time to pass.

import MultiprocessingPrimitives
import Synchronization

@testable import Multiprocessing

/// How often something goes wrong, of a hundred attempts.
struct Faults: Codable, Sendable {
    /// Given back untouched.
    var notBegun = 0
    /// Lost, with the worker dying just before it.
    var nextInLine = 0
    /// Lost while a worker was at it.
    var lost = 0
    /// Carried out, and the answer lost.
    var answerLost = 0
    /// Answered twice.
    var repeated = 0
    /// Answered by a frame that is cut short, changed, or of another session.
    var damaged = 0
    /// Reported lost, and answered after all.
    var late = 0

    /// Everything, often.
    static let all = Faults(
        notBegun: 6,
        nextInLine: 4,
        lost: 6,
        answerLost: 6,
        repeated: 6,
        damaged: 8,
        late: 6
    )
}

/// Carries tasks out on the thread of whoever collects results, and does harm.
struct TestEngine: ExecutionEngine {
    var seed: UInt64 = 0
    var faults = Faults()

    var capabilities: EngineCapabilities { EngineCapabilities(name: "a test") }

    func open(_ specification: WorkerSpecification, host: any EngineHost) throws -> any EngineSession {
        TestSession(self, specification, host)
    }
}

/// The tasks of one pool.
///
/// `@unchecked Sendable` is safe because everything that changes is used under the pool's lock only.
final class TestSession: EngineSession, @unchecked Sendable {
    private enum News {
        case frame(UInt64, [UInt8])
        case lost(UInt64, Loss)
        case broke(any Error)
    }

    /// What happens to an attempt.
    private enum Fate {
        case answer, notBegun, nextInLine, lost, answerLost, repeated, damaged, late
    }

    private let engine: TestEngine
    private let specification: WorkerSpecification
    private weak var host: (any EngineHost)?
    private var random: Seeded
    private let epoch: UInt64
    private var pending: [LocalTask] = []
    /// What will be told, for each attempt in order; attempts among each other in any order.
    private var news: [[News]] = []
    private var initializer: TaskFunction?
    private var target: Int
    private var isClosing = false
    private(set) var restarts = 0
    private let bell = PoolThread()
    private let changed = Atomic<Bool>(false)

    init(_ engine: TestEngine, _ specification: WorkerSpecification, _ host: any EngineHost) {
        self.engine = engine
        self.specification = specification
        self.host = host
        random = Seeded(seed: engine.seed)
        epoch = random.next()
        initializer = specification.initializer
        target = specification.count
    }

    // MARK: - Tasks

    var parallelism: Int { target }

    var wantsTasks: Bool { !isClosing && pending.count < 2 * target }

    func submit(_ task: TaskEnvelope) {
        pending.append(LocalTask(task))
        bell.wake()
    }

    func rebalance(_ events: any EngineEvents) {
        guard !pending.isEmpty, Int.random(in: 0..<20, using: &random) == 0 else { return }
        events.lost(pending.removeLast().ticket, .notBegun)
    }

    func cancel(_ ticket: UInt64, kill: Bool) {
        guard let index = pending.firstIndex(where: { $0.ticket == ticket }) else { return }
        pending.remove(at: index)
        news.append([.lost(ticket, .notBegun)])
    }

    func wait(until deadline: Deadline) {
        let ticket = bell.ticket
        guard let host else { return }
        let next = host.withLock { () -> (LocalTask, TaskFunction?, Fate)? in
            guard news.isEmpty || Bool.random(using: &random), !pending.isEmpty else { return nil }
            defer { initializer = nil }
            return (pending.remove(at: Int.random(in: pending.indices, using: &random)), initializer, fate())
        }
        guard let (task, initializer, fate) = next else {
            if !host.withLock({ hasNews }), !changed.load(ordering: .acquiring) { bell.sleep(ticket, until: deadline) }
            changed.store(false, ordering: .releasing)
            return
        }
        do {
            if let initializer { try TaskRunner().initialize(initializer) }
        } catch {
            return host.withLock { news.append([.broke(error), .lost(task.ticket, .notBegun)]) }
        }
        meet(fate, task, host)
    }

    private func fate() -> Fate {
        let faults = engine.faults
        var chance = Int.random(in: 0..<100, using: &random)
        let fates: [(Fate, Int)] = [
            (.notBegun, faults.notBegun), (.nextInLine, faults.nextInLine), (.lost, faults.lost),
            (.answerLost, faults.answerLost), (.repeated, faults.repeated), (.damaged, faults.damaged),
            (.late, faults.late),
        ]
        for (fate, share) in fates {
            if chance < share { return fate }
            chance -= share
        }
        return .answer
    }

    /// Lets happen to an attempt what is to happen.
    private func meet(_ fate: Fate, _ task: LocalTask, _ host: any EngineHost) {
        let ticket = task.ticket
        var story: [News]
        switch fate {
        case .notBegun: story = [.lost(ticket, .notBegun)]
        case .nextInLine: story = [.lost(ticket, .nextInLine(death))]
        case .lost: story = [.lost(ticket, .worker(death))]
        case .answer: story = carryOut(task)
        case .answerLost: story = carryOut(task).dropLast() + [.lost(ticket, .worker(death))]
        case .repeated: story = carryOut(task).flatMap { [$0, $0] }
        case .late: story = [.lost(ticket, .worker(death))] + carryOut(task)
        case .damaged:
            story = carryOut(task)
            host.withLock { damage(&story) }
        }
        host.withLock {
            if case .lost = fate { restarts += 1 }
            if !isClosing { news.insert(story, at: Int.random(in: 0...news.count, using: &random)) }
        }
    }

    private var death: WorkerLost {
        WorkerLost(
            status: .signaled(.kill),
            processIdentifier: 1,
            workerName: "TestWorker",
            message: nil,
            backtrace: []
        )
    }

    /// Carries an attempt out, and returns the frames that a worker would send.
    private func carryOut(_ task: LocalTask) -> [News] {
        let clock = ContinuousClock()
        var story: [News] = []
        var since = clock.now
        var isLate = false
        func frame(_ answer: LocalAnswer, _ element: Int?) -> News {
            let time = clock.now - since
            if let timeout = task.timeout, time > timeout { isLate = true }
            since = clock.now
            let frame = ResultFrame(
                epoch: epoch,
                ticket: task.ticket,
                nanoseconds: Int64(time / .nanoseconds(1)),
                element: element,
                threw: answer.threw,
                bytes: answer.bytes
            )
            return .frame(task.ticket, frame.encoded)
        }
        let answer = TaskRunner().run(task) { piece, answer in
            guard let answer else { return true }
            let news = frame(answer, piece)
            if !isLate { story.append(news) }
            return !isLate
        }
        let last = frame(answer, nil)
        return story + [isLate ? .lost(task.ticket, .timedOut) : last]
    }

    /// Spoils one of the frames.
    private func damage(_ story: inout [News]) {
        let index = Int.random(in: story.indices, using: &random)
        guard case .frame(let ticket, var bytes) = story[index] else { return }
        switch Int.random(in: 0..<3, using: &random) {
        case 0: bytes.removeLast(Int.random(in: 1...bytes.count, using: &random))
        case 1: bytes[Int.random(in: bytes.indices, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
        default:
            guard var frame = try? ResultFrame(bytes, epoch: epoch) else { return }
            frame.epoch &+= 1
            bytes = frame.encoded
        }
        story[index] = .frame(ticket, bytes)
    }

    // MARK: - News

    var hasNews: Bool { !news.isEmpty }

    func poll(_ events: any EngineEvents) {
        var rest = news.isEmpty ? 0 : Int.random(in: 1...news.count * 2, using: &random)
        while rest > 0, !news.isEmpty {
            rest -= 1
            let index = Int.random(in: news.indices, using: &random)
            let item = news[index].removeFirst()
            if news[index].isEmpty { news.remove(at: index) }
            tell(item, events)
        }
        // What nobody asked for.
        events.lost(random.next(), .worker(death))
    }

    private func tell(_ item: News, _ events: any EngineEvents) {
        switch item {
        case .lost(let ticket, let loss): events.lost(ticket, loss)
        case .broke(let error): events.broke(error)
        case .frame(let ticket, let bytes):
            do {
                let frame = try ResultFrame(bytes, epoch: epoch)
                guard frame.ticket == ticket else { throw ResultFrame.Damaged(description: "of another attempt") }
                frame.bytes.withUnsafeBytes { bytes in
                    let result = ResultEnvelope(
                        bytes: bytes,
                        lease: nil,
                        descriptors: [],
                        threw: frame.threw,
                        nanoseconds: frame.nanoseconds,
                        worker: "TestWorker"
                    )
                    if let element = frame.element {
                        events.answered(ticket, piece: element, result)
                    } else {
                        events.finished(ticket, result)
                    }
                }
            } catch {
                events.lost(ticket, .engine("\(error)"))
            }
        }
    }

    func wake() {
        changed.store(true, ordering: .releasing)
        bell.wake()
    }

    // MARK: - Nothing to keep up

    func scale(to count: Int) { target = count }

    var needsMaintenance: Bool { false }

    var maintenanceDeadline: Deadline { .never }

    func maintain() {}

    func close(drain: Bool) {
        isClosing = true
        if !drain {
            pending = []
            news = []
        }
    }

    var isEmpty: Bool { isClosing && pending.isEmpty }

    var statistics: [PoolStatistics.Worker] { [] }
}
