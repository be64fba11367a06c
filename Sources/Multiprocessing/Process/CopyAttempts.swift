// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives

/// How often this process is copied (`.fork`) until there is a copy that no lock is held in by a thread that it does not have.
///
/// Such locks are held for microseconds, as a rule: around the runtime's tables, or while a lazily made value is being made. One that is held for a second is held for some other reason (the whole program may run in the
/// initializer of a global), and most likely the copy does not need it.
struct CopyAttempts: Sendable {
    /// What is to be done next.
    enum Step: Equatable, Sendable {
        /// To try again, after a pause.
        case pause(nanoseconds: Int64)
        /// To try again at once, with one more lock that does not count; for later copies neither, where it is kept for good.
        case tolerate(isKept: Bool)
    }

    /// How long a lock may keep a process from being copied, and how long all of them together may, in nanoseconds.
    static let patience: Int64 = 1_000_000_000
    static let longestPatience: Int64 = 5_000_000_000
    private static let shortestPause: Int64 = 20_000
    private static let longestPause: Int64 = 5_000_000

    /// The locks that do not count.
    private(set) var tolerated: [HeldLock]
    private var pause = shortestPause
    /// Since when a lock has been found held at each attempt.
    private var since: (lock: HeldLock, time: Int64)?

    /// When the first attempt failed.
    private var start: Int64?

    /// - Parameter tolerated: Those that were held for that long already, by the thread that has them, when this process was copied before.
    init(tolerated: [HeldLock]) {
        self.tolerated = tolerated
    }

    /// Returns what follows from an attempt that has failed for `lock`, which is known at `now` (nanoseconds of any clock).
    mutating func step(after lock: HeldLock, now: Int64) -> Step {
        let start = start ?? now
        self.start = start
        // Then they are held by turns, and there may never be a moment without one.
        if now - start >= Self.longestPatience {
            tolerated.append(lock)
            return .tolerate(isKept: false)
        }
        guard let since, since.lock == lock else {
            since = (lock, now)
            pause = Self.shortestPause
            return .pause(nanoseconds: pause)
        }
        if now - since.time >= Self.patience {
            tolerated.append(lock)
            self.since = nil
            // One that does not say who holds it may have been held by many, for a moment each.
            return .tolerate(isKept: lock.thread != 0)
        }
        pause = min(2 * pause, Self.longestPause)
        return .pause(nanoseconds: pause)
    }
}

extension CopyAttempts {
    private static let toleratedByAll = PlainMutex<[HeldLock]>(ofProcess: [])

    /// Copies this process, as fork(2) does, where and when no other thread holds a lock in static data: the runtime's, the loader's, or the program's own.
    static func fork() -> Int32 {
        var attempts = CopyAttempts(tolerated: toleratedByAll.withLock { $0 })
        while true {
            // Whoever holds a lock may need what is locked for a fork before it gives it back.
            var outcome = CopyOutcome.forked(-1)
            let pid = Runtime.forking {
                outcome = Fork.fork(besides: attempts.tolerated)
                return if case .forked(let pid) = outcome { pid } else { -1 }
            }
            guard case .held(let lock) = outcome else { return pid }
            switch attempts.step(after: lock, now: mp_now()) {
            case .pause(let nanoseconds):
                // There is no event to wait for: nobody tells of such a lock's end.
                var time = timespec(tv_sec: 0, tv_nsec: Int(nanoseconds))
                nanosleep(&time, nil)
            case .tolerate(let isKept):
                if isKept { toleratedByAll.withLock { $0.append(lock) } }
            }
        }
    }
}
