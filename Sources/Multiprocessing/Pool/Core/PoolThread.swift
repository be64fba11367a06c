// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

/// The bell of a pool's own thread.
///
/// `@unchecked Sendable` is safe because the pointer never changes and what it points to is atomic.
final class PoolThread: @unchecked Sendable {
    /// Changes with every wake; never freed while the thread lives, which holds this object.
    private let word: UnsafeMutablePointer<Atomic<UInt32>>
    private let isAsleep = Atomic<Bool>(false)
    /// Whether it looks again soon without being woken.
    private let isWatching = Atomic<Bool>(false)
    let isStarted = Atomic<Bool>(false)
    /// The thread, once it runs.
    private let identity = Atomic<UInt>(0)

    /// Whether the caller is the thread.
    var isCurrent: Bool {
        // Relaxed: only the thread itself finds its own number.
        identity.load(ordering: .relaxed) == UInt(pthread_self())
    }

    /// Notes that the caller is the thread.
    func becomeCurrent() {
        identity.store(UInt(pthread_self()), ordering: .relaxed)
    }

    init() {
        word = .allocate(capacity: 1)
        word.initialize(to: Atomic(0))
    }

    deinit {
        word.deinitialize(count: 1)
        word.deallocate()
    }

    /// A value to give to `sleep`, taken before looking for work.
    var ticket: UInt32 { word.pointee.load(ordering: .sequentiallyConsistent) }

    /// Blocks until somebody wakes after `ticket` was taken, or the deadline.
    func sleep(_ ticket: UInt32, until deadline: Deadline) {
        let shared = SharedWord(word)
        isAsleep.store(true, ordering: .sequentiallyConsistent)
        if shared.load() == ticket { _ = shared.wait(while: ticket, until: deadline) }
        isAsleep.store(false, ordering: .releasing)
    }

    /// Sleeps for a moment, while others are busy submitting.
    func watch(_ ticket: UInt32, microseconds: Int64) {
        isWatching.store(true, ordering: .sequentiallyConsistent)
        sleep(ticket, until: Deadline(timeout: .microseconds(microseconds)))
        isWatching.store(false, ordering: .sequentiallyConsistent)
    }

    /// Wakes the thread unless it looks again soon in any case.
    func wakeSoon() {
        // Sequentially consistent with the stores in `watch`: what was submitted before is seen when it looks.
        if !isWatching.load(ordering: .sequentiallyConsistent) { wake() }
    }

    /// Wakes the thread.
    func wake() {
        word.pointee.add(1, ordering: .sequentiallyConsistent)
        // Sequentially consistent with the store in `sleep`: either it is seen asleep here, or it sees the new number there.
        if isAsleep.load(ordering: .sequentiallyConsistent) { SharedWord(word).wake(1) }
    }
}

extension PoolCore {
    /// Starts the pool's thread, once; under the lock.
    func startThreadIfNeeded() {
        guard !thread.isStarted.exchange(true, ordering: .acquiringAndReleasing) else { return }
        do {
            try Thread.start(name: "mp-pool", stackSize: 1 << 20) { self.runThread() }
        } catch {
            thread.isStarted.store(false, ordering: .releasing)
            broke(error)
            // Nobody is left to see to the end; the workers are killed when this process ends at the latest.
            if phase != .running { gone.post() }
        }
    }

    /// Replaces workers, calls callbacks, and leads where nobody else does, until nothing is left of the pool.
    private func runThread() {
        thread.becomeCurrent()
        var seen = submissions.load(ordering: .relaxed)
        while true {
            let ticket = thread.ticket
            let (isOver, called) = withLock {
                if !isLed { advance() }
                let called = callbacks
                callbacks = []
                if !called.isEmpty { passOnMeanwhile() }
                // A closed pool whose last workers were lost needs others for what is left to do.
                let isDone = phase == .terminated || machine.jobs.count == 0
                return (phase != .running && isDone && session.isEmpty && called.isEmpty, called)
            }
            for callback in called { callback() }
            if isOver { break }
            // Meanwhile everything may have ended, of which nobody tells twice.
            if !called.isEmpty { continue }
            let needsMaintenance = withLock {
                if session.needsMaintenance { passOnMeanwhile() }
                return session.needsMaintenance
            }
            if needsMaintenance { session.maintain() }
            switch withLock({ role(&seen) }) {
            case .lead:
                session.wait(until: withLock { session.maintenanceDeadline })
                withLock {
                    isLed = false
                    advance()
                }
            case .watch(let due): watch(ticket, &seen, until: due)
            case .sleep: thread.sleep(ticket, until: withLock { session.maintenanceDeadline })
            }
        }
        gone.post()
    }

    /// Lets one of those lead who wait behind this thread, before it does something that may take long: under the lock.
    private func passOnMeanwhile() {
        if !isLed, let follower = followers.popLast() { notices.append(follower) }
    }

    /// Sleeps as long as somebody submits one call after the other, and nobody wakes the thread, and the session does not want to be seen to.
    private func watch(_ ticket: UInt32, _ seen: inout UInt64, until due: Deadline) {
        var microseconds: Int64 = 100
        while true {
            thread.watch(ticket, microseconds: microseconds)
            let now = submissions.load(ordering: .relaxed)
            guard now != seen, thread.ticket == ticket, !due.hasPassed else { return }
            seen = now
            // Each look takes a processor away from somebody; who has submitted for long will go on for a while.
            microseconds = min(2 * microseconds, 1000)
        }
    }

    private enum Role {
        case lead
        case watch(until: Deadline)
        case sleep
    }

    /// What the pool's thread has to do; under the lock.
    ///
    /// As long as somebody submits one call after the other, that thread collects results as it goes, and a second one would only be in its way.
    private func role(_ seen: inout UInt64) -> Role {
        guard machine.isBusy, !isLed, callbacks.isEmpty else { return .sleep }
        if capabilities.runsOnCallers {
            guard session.hasTask(for: .poolThread) else { return .sleep }
            isLed = true
            return .lead
        }
        let now = submissions.load(ordering: .relaxed)
        if now != seen, !needsLeader {
            seen = now
            return .watch(until: session.maintenanceDeadline)
        }
        needsLeader = false
        isLed = true
        return .lead
    }
}
