// SPDX-License-Identifier: Apache-2.0
//
// A reader calls functions on its own thread: the short ones, which are most, then cost no change of threads. A function that takes long would keep the client's further requests waiting; the
// watchdog notices after a moment and lets another thread read on. It sleeps while nobody calls anything.

internal import CMultiprocessing
internal import MultiprocessingPrimitives
internal import Synchronization

/// Sees to it that no client waits for a function on another value than its own.
final class Watchdog: Sendable {
    /// How long a function may keep its reader, in nanoseconds.
    private static let patience: Int64 = 1_000_000
    /// How many looks without any call before it sleeps.
    private static let quietLooks = 20

    private let sessions = Mutex<[ObjectIdentifier: ServerSession]>([:])

    /// 1 while it looks; 0 while it sleeps. A futex word, never freed.
    private let awake: SharedWord

    init() {
        awake = SharedWord(.allocate(capacity: 1))
        awake.initialize(1)
    }

    /// Starts it.
    func start() throws(SystemError) {
        try Thread.start(name: "mp-watchdog") { [self] in run() }
    }

    /// Watches a session whose requests are being read.
    func add(_ session: ServerSession) {
        sessions.withLock { $0[ObjectIdentifier(session)] = session }
    }

    /// Forgets a session.
    func remove(_ session: ServerSession) {
        sessions.withLock { $0[ObjectIdentifier(session)] = nil }
    }

    /// Says that a function is about to be called.
    @inline(__always)
    func wake() {
        // Relaxed, after the sequentially consistent exchange that marks the call: either this sees the sleeper's mark, or its look after that sees the call.
        if awake.load(.relaxed) == 0 { wakeUp() }
    }

    @inline(never)
    private func wakeUp() {
        if awake.exchange(1) == 0 { awake.wake(1) }
    }

    private func run() -> Never {
        let pause = SharedWord(.allocate(capacity: 1))
        pause.initialize(0)
        var quiet = 0
        while true {
            _ = pause.wait(while: 0, until: Deadline(nanoseconds: mp_now() + Self.patience))
            quiet = look() ? 0 : quiet + 1
            guard quiet >= Self.quietLooks else { continue }
            awake.exchange(0)
            // After the mark: a call that began before it has not seen it.
            if look() {
                awake.exchange(1)
            } else {
                while awake.load() == 0 { _ = awake.wait(while: 0, until: .never) }
            }
            quiet = 0
        }
    }

    /// Takes over from those who have been in a call for too long. Returns whether there was any call since the last look.
    private func look() -> Bool {
        let now = mp_now()
        var isActive = false
        for session in sessions.withLock({ Array($0.values) }) {
            if session.relieve(before: now - Self.patience) { isActive = true }
        }
        return isActive
    }
}
