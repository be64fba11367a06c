// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives

/// How often this process is copied (`.fork`) until there is a copy in which no lock is held by a thread that it does not have.
///
/// Such locks are held for microseconds, as a rule: around the runtime's tables, or while a lazily made value is being made. One that is held for a second, by one thread, is held for some other reason (the whole program may
/// run in the initializer of a global), and most likely the copy does not need it.
struct CopyAttempts: Sendable {
    /// What is to be done next.
    enum Step: Equatable, Sendable {
        /// To try again, after a pause.
        case pause(nanoseconds: Int64)
        /// To copy the process as it is: it takes too long.
        case giveUp
    }

    /// How long a lock may keep a process from being copied, and how long all of them together may, in nanoseconds.
    static let patience: Int64 = 1_000_000_000
    static let longestPatience: Int64 = 5_000_000_000
    /// At how many attempts that has to show: a process that was stopped for a second has not tried.
    static let fewestAttempts = 50
    private static let shortestPause: Int64 = 20_000
    private static let longestPause: Int64 = 5_000_000

    /// The locks that do not count.
    private(set) var tolerated: [HeldLock]
    /// Those that were found held at each attempt since then.
    private var held: [HeldLock: (since: Int64, attempts: Int)] = [:]
    private var pause = shortestPause
    private var start: Int64?
    private var attempts = 0

    /// - Parameter tolerated: Those that were held for that long already, by the threads that have them, when this process was copied before.
    init(tolerated: [HeldLock]) {
        self.tolerated = tolerated
    }

    /// Returns what follows from an attempt that has failed for `locks`, which is known at `now` (nanoseconds of any clock).
    mutating func step(after locks: [HeldLock], now: Int64) -> Step {
        let start = start ?? now
        self.start = start
        attempts += 1
        let before = held
        held = [:]
        var isLessInTheWay = false
        var hasNews = false
        for lock in locks {
            var record = before[lock] ?? (now, 0)
            record.attempts += 1
            if now - record.since >= Self.patience, record.attempts >= Self.fewestAttempts {
                tolerated.append(lock)
                isLessInTheWay = true
            } else {
                held[lock] = record
                hasNews = hasNews || record.attempts == 1
            }
        }
        // Then they are held by turns, and there may never be a moment without one.
        if !isLessInTheWay, now - start >= Self.longestPatience, attempts >= Self.fewestAttempts { return .giveUp }
        pause = isLessInTheWay || hasNews ? Self.shortestPause : min(2 * pause, Self.longestPause)
        return .pause(nanoseconds: pause)
    }

    /// The locks that later copies need not wait for either. Not those that do not say who holds them: that may have been many, for a moment each.
    var kept: [HeldLock] { tolerated.filter { $0.thread != 0 } }
}

extension CopyAttempts {
    private static let keptByAll = PlainMutex<[HeldLock]>(ofProcess: [])

    /// Copies this process, as fork(2) does, where and when no other thread holds a lock that can be seen (heldlocks.c).
    static func fork() -> Int32 {
        var attempts = CopyAttempts(tolerated: keptByAll.withLock { $0 })
        while true {
            // What is buffered now would be written by both.
            fflush(nil)
            // Whoever holds a lock may need what is locked for a fork before it gives it back.
            var outcome = CopyOutcome.forked(-1)
            let pid = Runtime.forking {
                outcome = Fork.fork(besides: attempts.tolerated)
                return if case .forked(let pid) = outcome { pid } else { -1 }
            }
            guard case .held(let locks) = outcome else { return pid }
            let step = attempts.step(after: locks, now: mp_now())
            keptByAll.withLock { [kept = attempts.kept] all in all += kept.filter { !all.contains($0) } }
            guard case .pause(let nanoseconds) = step else { return Runtime.forking { Fork.fork() } }
            // There is no event to wait for: nobody tells of such a lock's end.
            var time = timespec(tv_sec: 0, tv_nsec: Int(nanoseconds))
            nanosleep(&time, nil)
        }
    }
}
