// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Glibc
import Laboratory
import MultiprocessingPrimitives
import Testing

/// What a thread did, as it wrote it down.
private struct Entry: BitwiseCopyable {
    enum Kind: UInt32 { case wait, notify, notifyAll, notified, timedOut, acquire, release }

    var kind: Kind
    var thread: Int32
    var count: Int64
    /// When the call began and ended.
    var start: Int64
    var end: Int64
}

/// A log in shared memory that several processes write to.
private struct Log: Sendable {
    let region: MemoryRegion

    var used: SharedWord { SharedWord(region.base, offset: 3072) }
    private var entries: UnsafeMutablePointer<Entry> { (region.base + 4096).assumingMemoryBound(to: Entry.self) }

    init(capacity: Int) throws {
        region = try MemoryRegion(size: 4096 + capacity * MemoryLayout<Entry>.stride, name: "mp-test")
    }

    func write(_ kind: Entry.Kind, _ thread: Int32, count: Int64 = 0, start: Int64 = 0, end: Int64 = 0) {
        entries[Int(used.add(1)) - 1] = Entry(kind: kind, thread: thread, count: count, start: start, end: end)
    }

    /// All entries, once everybody has ended.
    var all: [Entry] { Array(UnsafeBufferPointer(start: entries, count: Int(used.load()))) }
}

/// Runs `body` on two threads in each of three processes, and waits for all.
private func runEverywhere(
    seed: UInt64,
    _ body: @escaping @Sendable (Int32, inout SeededGenerator) throws -> Void
) throws {
    let processes = try (0..<3).map { process in
        try ForkedProcess {
            let ended = SharedWord(.allocate(capacity: 1))
            ended.initialize(0)
            for thread in 0..<2 {
                try Thread.start(name: "mp-test") {
                    let id = Int32(process * 2 + thread)
                    var generator = SeededGenerator(seed: seed &+ UInt64(id))
                    do { try body(id, &generator) } catch { _exit(2) }
                    ended.add(1)
                    ended.wake(1)
                }
            }
            while ended.load() < 2 { _ = ended.wait(while: ended.load(), until: .never) }
        }
    }
    for process in processes { try require(try process.join() == 0, "a process failed") }
}

extension PrimitivesTests {
    /// Random operations of several threads and processes; the history they leave has to be a possible one.
    @Suite(.timeLimit(.minutes(30))) struct ModelTests {
        @Test(arguments: [UInt64(1), 2, 3])
        func `every notification of a condition releases as many of those who waited as it says`(
            seed: UInt64
        ) async throws {
            try await Laboratory.run {
                let log = try Log(capacity: 200_000)
                try runEverywhere(seed: seed &* 1000) { id, generator in
                    let lock = RobustLock(log.region.base)
                    let condition = ConditionState(log.region.base + 64, lock: lock)
                    let inside = SharedWord(log.region.base, offset: 2048)
                    for step in 0..<2000 {
                        _ = try lock.acquire()
                        try require(inside.add(1) == 1, "two inside")
                        switch UInt32.random(in: 0..<10, using: &generator) {
                        case 0:
                            log.write(.notifyAll, id)
                            condition.notifyAll()
                        case 1...3:
                            let count = UInt32.random(in: 1...3, using: &generator)
                            log.write(.notify, id, count: Int64(count))
                            condition.notify(count)
                        default:
                            let microseconds = Int64.random(in: 0..<300, using: &generator)
                            let timeout: Duration? = step < 1990 ? .microseconds(microseconds) : .zero
                            log.write(.wait, id)
                            try wait(condition, lock, inside, Deadline(timeout: timeout), log, id)
                        }
                        inside.add(UInt32.max)
                        _ = lock.release(by: .thread)
                    }
                }
                try checkCondition(log.all)
            }
        }

        @Test(arguments: [UInt64(4), 5])
        func `a semaphore never gives more permits than it was given, and refuses none that it has`(
            seed: UInt64
        ) async throws {
            try await Laboratory.run {
                let log = try Log(capacity: 200_000)
                SemaphoreState(log.region.base).initialize(value: 2, maximum: 1000)
                try runEverywhere(seed: seed &* 1000) { id, generator in
                    let semaphore = SemaphoreState(log.region.base)
                    for _ in 0..<3000 {
                        let timeout = Int64.random(in: -50..<100, using: &generator)
                        var start = mp_now()
                        let outcome = semaphore.acquire(until: Deadline(timeout: .microseconds(timeout)))
                        log.write(outcome == .acquired ? .acquire : .timedOut, id, start: start, end: mp_now())
                        guard outcome == .acquired else { continue }
                        for _ in 0..<Int.random(in: 0..<1000, using: &generator) { mp_pause() }
                        start = mp_now()
                        try require(semaphore.release(), "refused")
                        log.write(.release, id, start: start, end: mp_now())
                    }
                }
                try checkSemaphore(log.all, value: 2)
                try require(SemaphoreState(log.region.base).value == 2, "permits are lost")
            }
        }
    }
}

private func wait(
    _ condition: ConditionState,
    _ lock: RobustLock,
    _ inside: SharedWord,
    _ deadline: Deadline,
    _ log: Log,
    _ id: Int32
) throws {
    var wait = condition.begin()
    while true {
        inside.add(UInt32.max)
        _ = lock.release(by: .thread)
        let result = condition.sleep(wait, until: deadline)
        _ = try lock.acquire()
        try require(inside.add(1) == 1, "two inside")
        if condition.finish(&wait) { return log.write(.notified, id) }
        guard result == .timedOut else { continue }
        condition.abandon(wait)
        return log.write(.timedOut, id)
    }
}

/// Replays what was written down under the lock, in that order.
private func checkCondition(_ entries: [Entry]) throws {
    // Who waits, with the number of the notification from which on they are released for certain.
    var waiting: Set<Int32> = []
    var mayGo: Set<Int32> = []
    var releases = 0
    var mustGo: Set<Int32> = []
    var notified = 0
    for entry in entries {
        switch entry.kind {
        case .wait:
            waiting.insert(entry.thread)
        case .notify:
            let candidates = waiting.subtracting(mustGo).count
            releases += min(Int(entry.count), candidates - releases)
            mayGo = waiting.subtracting(mustGo)
        case .notifyAll:
            mustGo.formUnion(waiting)
            mayGo = []
            releases = 0
        case .notified:
            notified += 1
            try require(waiting.remove(entry.thread) != nil, "released without waiting")
            if mustGo.remove(entry.thread) == nil {
                try require(releases > 0 && mayGo.remove(entry.thread) != nil, "released without a notification")
                releases -= 1
            }
        case .timedOut:
            try require(waiting.remove(entry.thread) != nil, "timed out without waiting")
            try require(mustGo.remove(entry.thread) == nil, "timed out although all were released")
            let couldGo = mayGo.remove(entry.thread) != nil
            try require(releases == 0 || !couldGo, "timed out although there was a release")
        case .acquire, .release:
            break
        }
    }
    try require(releases == 0 && waiting.isEmpty, "\(releases) releases were not taken, \(waiting.count) wait")
    try require(notified > 100, "only \(notified) waits were notified")
}

/// Bounds on the number of permits at every moment, from when each call began and ended.
private func checkSemaphore(_ entries: [Entry], value: Int) throws {
    let acquired = entries.filter { $0.kind == .acquire }
    let released = entries.filter { $0.kind == .release }
    let refused = entries.filter { $0.kind == .timedOut }
    let moments = [
        acquired.map(\.start).sorted(), acquired.map(\.end).sorted(), released.map(\.start).sorted(),
        released.map(\.end).sorted(),
    ]
    /// How many of `moments` lie at or before `time`.
    func count(_ moments: [Int64], until time: Int64) -> Int {
        var low = 0
        var high = moments.count
        while low < high {
            let middle = (low + high) / 2
            if moments[middle] <= time { low = middle + 1 } else { high = middle }
        }
        return low
    }
    for entry in acquired {
        let given = value + count(moments[2], until: entry.end)
        try require(count(moments[1], until: entry.end) <= given, "more permits were taken than given")
    }
    try require(refused.count > 50, "only \(refused.count) calls were refused")
    for entry in refused {
        // At some moment of the call there may have been none: permits given for certain by its start, taken at most by its end.
        let least = value + count(moments[3], until: entry.start) - count(moments[0], until: entry.end)
        try require(least <= 0, "a permit was refused although there were \(least)")
    }
}
