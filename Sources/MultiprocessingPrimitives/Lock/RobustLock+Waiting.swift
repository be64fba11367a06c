// SPDX-License-Identifier: Apache-2.0
//
// Taking a lock that is not simply free, and giving up one that a task holds.

internal import CMultiprocessing
internal import Glibc
internal import Synchronization

extension RobustLock {
    /// Takes the lock for `holder`, waiting until `deadline` or until `cancellation`.
    ///
    /// A caller that holds it already is told so when it would wait for ever; with a deadline it waits like anybody else.
    ///
    /// - Parameter isTakenBack: Whether the caller only takes back what it gave up for a moment, which is not to fail.
    /// - Throws: `SystemError` when the lock is for a task and this process gets no thread to hold it; ENOLCK when its tasks hold as many as the kernel passes on at the end of a process, some 1,800.
    package func acquire(
        for holder: LockHolder = .thread,
        until deadline: Deadline = .never,
        cancellation: WaitCancellation? = nil,
        isTakenBack: Bool = false
    ) throws(SystemError) -> LockOutcome {
        if case .thread = holder, acquireIfFree() { return .acquired }
        // Found before waiting: there would be no way to tell afterwards.
        if case .task = holder {
            let processHolder = ProcessHolder.current.value
            try processHolder.start()
            guard isTakenBack || !processHolder.isFull else {
                throw SystemError(code: ENOLCK, operation: "holding as many locks by the tasks of one process")
            }
            // In one order with the exchange that takes the lock: who waits for it then sees this.
            if isForTasks.load(.relaxed) == 0 { isForTasks.exchange(1) }
        }
        if deadline == .never, isHeld(by: holder) { return .heldByCaller }

        guard let list = mp_this_thread().pointee.robust else { return .timedOut }
        // From here on this thread may consume a wake-up that is meant for whoever takes the lock next.
        mp_robust_pending(list, base)
        defer { mp_robust_pending(list, nil) }
        if let outcome = attempt(for: holder) { return outcome }
        if deadline.hasPassed { return .timedOut }
        return wait(for: holder, until: deadline, cancellation: cancellation)
    }

    /// Takes the lock for `holder` if nobody holds it.
    package func acquireWithoutWaiting(for holder: LockHolder) throws(SystemError) -> LockOutcome {
        try acquire(for: holder, until: .passed)
    }

    private func wait(
        for holder: LockHolder,
        until deadline: Deadline,
        cancellation: WaitCancellation?
    ) -> LockOutcome {
        while true {
            _ = Spinning.wait { word.load(.relaxed) & Self.threadMask == 0 }
            if let outcome = attempt(for: holder) { return outcome }
            // Acquiring: before the look at `isForTasks`.
            var seen = word.load(.acquiring)
            guard seen & Self.threadMask != 0 else { continue }
            if seen & Self.waiters == 0 {
                guard word.replace(seen, with: seen | Self.waiters) else { continue }
                seen |= Self.waiters
            }
            switch sleep(while: seen, until: deadline, cancellation: cancellation) {
            case .lookAgain:
                continue
            case .timedOut:
                // The kernel takes a sleeper off its queue by a wake or by the deadline, never by both, so no wake-up is lost here.
                return attempt(for: holder) ?? .timedOut
            case .cancelled:
                // A wake-up may have come at the same time: it belongs to somebody who still wants the lock.
                if word.load(.relaxed) & Self.threadMask == 0 { word.wake(1) }
                return .cancelled
            }
        }
    }

    /// Until when a sleep that begins now lasts at most where tasks take the lock.
    static var nextLookBesideTasks: Deadline { Deadline(timeout: .seconds(1)) }

    /// Sleeps while the word is `seen`; where tasks take the lock, also until one is dead that was making it over.
    ///
    /// Of that death the kernel tells one sleeper. Were he killed before he could act on it, nobody would wake the next: a thread can name one word to be passed on, which is the lock's. So nobody sleeps for long there.
    private func sleep(
        while seen: UInt32,
        until deadline: Deadline,
        cancellation: WaitCancellation?
    ) -> FutexWaitResult {
        guard isForTasks.load() != 0 else { return word.wait(while: seen, until: deadline, cancellation: cancellation) }
        var words = FutexSet(word, is: seen)
        // Before the look whether it is left behind.
        words.add(transfer.word, is: transfer.word.load())
        if isLeftBehind(seen) { return .lookAgain }
        let look = min(deadline, Self.nextLookBesideTasks)
        let result = words.wait(until: look, cancellation: cancellation, areRare: true)
        return result == .timedOut && look < deadline ? .lookAgain : result
    }

    /// Takes the lock if it has no holder; nil when it has.
    private func attempt(for holder: LockHolder) -> LockOutcome? {
        while true {
            let seen = word.load(.relaxed)
            guard seen & Self.threadMask == 0 else {
                guard isLeftBehind(seen) else { return nil }
                takeFromDead(seen)
                continue
            }
            // Only the dying leave it behind, and a task's token only the dying and the living holder.
            let diedAsTask = seen & Self.ownerDied != 0 && ownerTask.pointee.load(ordering: .relaxed) != 0
            let died = seen & Self.ownerDied != 0 ? max(0, ownerProcess.pointee.load(ordering: .relaxed)) : 0
            // The dead process's other threads may run on for a moment, and one of them may have been giving the lock up. Or its list, through the links that are changed with the lock, is still to be walked.
            if diedAsTask { ProcessHolder.waitForEnd(of: died) }
            guard take(from: seen, marks: seen & Self.waiters, for: holder) else { continue }
            guard seen & Self.ownerDied != 0 else { return .acquired }
            recursion = 0
            transfer.clear()
            return .ownerDied(died)
        }
    }

    /// Replaces the word `seen` by the holder's, enters the lock in the holder's list and writes down who holds it. False when the word is another by now.
    private func take(from seen: UInt32, marks: UInt32, for holder: LockHolder) -> Bool {
        guard let thread = mp_this_thread(), let list = thread.pointee.robust else { return false }
        switch holder {
        case .thread:
            // Named as pending by `acquire`.
            guard word.replace(seen, with: thread.pointee.id | marks) else { return false }
            mp_robust_link(list, base)
            noteHolder(holder)
            return true
        case .task:
            return ProcessHolder.current.value.take(self, from: seen, marks: marks) { noteHolder(holder) }
        }
    }

    /// Whether the lock was being made over to a thread that had ended, by one that has ended as well: nobody will give it up.
    private func isLeftBehind(_ seen: UInt32) -> Bool {
        transfer.isLeftBehind && seen & Self.threadMask == heir.load(.relaxed)
    }

    /// Marks a lock that was left behind as one that somebody died with.
    private func takeFromDead(_ seen: UInt32) {
        // Its links are in a list that the kernel may not have walked yet; whoever holds the lock next changes them.
        ProcessHolder.waitForEnd(of: max(0, ownerProcess.pointee.load(ordering: .relaxed)))
        _ = word.replace(seen, with: Self.ownerDied | seen & Self.waiters)
    }

    /// Writes down that `holder`, of this process, holds the lock.
    private func noteHolder(_ holder: LockHolder) {
        let token: UInt64 = if case .task(let token) = holder { token } else { 0 }
        ownerTask.pointee.store(token, ordering: .relaxed)
        // Releasing: pairs with the load in `isHeld`.
        ownerProcess.pointee.store(mp_this_thread().pointee.process, ordering: .releasing)
    }

    /// Gives the lock up for `holder`, and returns whether `holder` held it.
    ///
    /// - Parameter unlearned: A process that died with the lock has still to be told of: the next acquirer is.
    package func release(by holder: LockHolder, unlearned: Bool = false) -> Bool {
        switch holder {
        case .thread:
            return releaseIfHeldByThread(unlearned: unlearned)
        case .task:
            guard isHeld(by: holder), let thread = mp_this_thread(), let list = thread.pointee.robust else {
                return false
            }
            let stamp = Self.stamp(of: thread.pointee.id)
            ownerTask.pointee.store(0, ordering: .relaxed)
            ownerProcess.pointee.store(stamp, ordering: .relaxed)
            // If this thread is killed between giving up and waking, the kernel wakes for it.
            mp_robust_pending(list, base)
            if ProcessHolder.current.value.giveUp(self, unlearned: unlearned) {
                wakeNext(stamp: stamp, unlearned: unlearned)
            }
            mp_robust_pending(list, nil)
            return true
        }
    }

    // MARK: - Passing on

    /// What `ownerProcess` says when `thread` has passed the lock on.
    private static func stamp(of thread: UInt32) -> Int32 { -Int32(bitPattern: thread) }

    /// Gives up a lock that is marked as waited for, is in no list any more and named as pending by the calling thread, which holds it.
    func passOn(by thread: UInt32, unlearned: Bool) {
        let stamp = Self.stamp(of: thread)
        ownerProcess.pointee.store(stamp, ordering: .relaxed)
        word.exchange(Self.waiters | (unlearned ? Self.ownerDied : 0))
        wakeNext(stamp: stamp, unlearned: unlearned)
    }

    /// Wakes one who sleeps until the lock is free; with nobody asleep, takes the mark off.
    private func wakeNext(stamp: Int32, unlearned: Bool) {
        guard word.wake(1) == 0, !unlearned else { return }
        // Somebody may have taken the lock, been slept for, and passed it on since the look for sleepers: the stamp is another then. A little-endian pair; relaxed, since nothing was
        // written that the next holder does not know from the exchange before.
        _ = wordAndOwner.pointee.compareExchange(
            expected: UInt64(UInt32(bitPattern: stamp)) << 32 | UInt64(Self.waiters),
            desired: 0,
            successOrdering: .releasing,
            failureOrdering: .relaxed
        )
    }
}
