// SPDX-License-Identifier: Apache-2.0
//
// Locks held by tasks.
//
// A task may take a lock on one thread and give it up on another, and the kernel knows only threads. So a lock that a task takes is entered as held by one thread that
// lives as long as the process and does nothing: its end is the end of the process. Other threads keep its list for it, under a mutex.
//
// When a process is killed its threads end one after another within microseconds, in any order. Two things follow. A thread of ours may put a lock into the holder's list just after
// the kernel has walked that: two sentinels stand first in it, the kernel marks the first before it follows the second's link, and whoever took a lock looks at the first
// afterwards. It may be killed in between; so it takes the lock in its own name first, and leaves a notice in its own list until it has looked. Who finds the notice left behind
// knows that nobody will give the lock up, and takes it from the dead. And a thread may still be inside a critical section when the lock has passed on: whoever gets it waits for the process to be gone.

internal import CMultiprocessing
internal import Glibc
internal import Synchronization

/// The thread in whose name tasks of this process hold locks.
final class ProcessHolder: Sendable {
    /// This process's holder; it has no thread before the first task takes a lock.
    static let current = ForkLocal { ProcessHolder() }

    private struct State {
        /// The thread's list and id; nil before it runs.
        nonisolated(unsafe) var list: UnsafeMutablePointer<robust_list_head>?
        var thread: UInt32 = 0
    }

    /// Safe to change from any thread: under the mutex, as is the list.
    private let state = PlainMutex(State())

    /// How many locks it holds. Relaxed: it is compared with a bound that leaves room for those who look at the same time.
    private let held = Atomic<Int>(0)

    /// As many locks as the kernel looks at when a thread ends (ROBUST_LIST_LIMIT), without some for the sentinels and for threads that take a lock at the same moment.
    private static let mostHeld = 2048 - 256

    /// Whether it holds as many locks as it may: of further ones nobody would be told when the process dies.
    var isFull: Bool { held.load(ordering: .relaxed) >= Self.mostHeld }

    /// 1 once there is a holder. Never freed: the thread that says so still wakes the one who waits when that one has seen it already.
    private let isReady: SharedWord

    private init() {
        isReady = SharedWord(.allocate(capacity: 1))
        isReady.initialize(0)
    }

    /// The sentinels, laid out like locks: held by the thread from its start to its end. Never freed.
    private let sentinels = SentinelPair()

    /// Starts the thread if there is none.
    func start() throws(SystemError) {
        guard state.withLock({ $0.thread == 0 }) else { return }
        try Thread.start(name: "mp-lock-holder") { [self] in
            let isFirst = hold()
            isReady.exchange(1)
            isReady.wake(1)
            guard isFirst else { return }
            while true { pause() }
        }
        while isReady.load() == 0 { _ = isReady.wait(while: 0, until: .never) }
    }

    /// Makes the calling thread the holder, unless there is one already.
    private func hold() -> Bool {
        state.withLock { state in
            guard state.thread == 0, let thread = mp_this_thread(), let list = thread.pointee.robust else {
                return false
            }
            for sentinel in [sentinels.second, sentinels.first] {
                SharedWord(sentinel, offset: 0).initialize(thread.pointee.id)
                mp_robust_link(list, sentinel)
            }
            state.list = list
            state.thread = thread.pointee.id
            return true
        }
    }

    /// Replaces `lock`'s word `seen` by this holder's with `marks`, and writes down by `note` who holds it; false when the word is another by now. The calling thread has named the word as pending.
    func take(_ lock: RobustLock, from seen: UInt32, marks: UInt32, note: () -> Void) -> Bool {
        state.withLock { state in
            guard state.list != nil, let thread = mp_this_thread()?.pointee.id else { return false }
            // As long as it is this thread's the kernel passes it on by what is pending.
            guard lock.word.replace(seen, with: thread | marks) else { return false }
            note()
            lock.heir.store(state.thread)
            lock.transfer.enter()
            mp_robust_link(sentinels.second + Int(MP_ROBUST_NEXT), lock.base)
            // Others set the mark of waiters meanwhile, and nothing else.
            var own = thread | marks
            while !lock.word.replace(own, with: state.thread | own & RobustLock.waiters) {
                own = lock.word.load(.relaxed)
            }
            // The kernel has walked the list, and this thread's own end is on its way: that tells of the lock.
            while SharedWord(sentinels.first, offset: 0).load() & RobustLock.ownerDied != 0 { pause() }
            lock.transfer.leave()
            held.add(1, ordering: .relaxed)
            return true
        }
    }

    /// Takes `lock` out of the list and gives it up; returns whether somebody has to be woken.
    ///
    /// - Parameter unlearned: The next one to take the lock has to be told of a death.
    func giveUp(_ lock: RobustLock, unlearned: Bool) -> Bool {
        state.withLock { state in
            guard let list = state.list else { return false }
            mp_robust_pending(list, lock.base)
            defer { mp_robust_pending(list, nil) }
            mp_robust_unlink(lock.base)
            held.subtract(1, ordering: .relaxed)
            let left = unlearned ? RobustLock.ownerDied : 0
            while true {
                let seen = lock.word.load(.relaxed)
                // Otherwise the holder has ended, the kernel has passed the lock on, and this thread's own end is on its way: the lock may be another's.
                guard seen & RobustLock.threadMask == state.thread else { return false }
                // Without the mark, unless somebody has set it.
                let marks = seen & RobustLock.waiters
                if lock.word.replace(seen, with: marks | left) { return marks != 0 }
            }
        }
    }

    /// Waits until no thread of the dying process `process` runs any more, two seconds at most (its number may be another process's already).
    static func waitForEnd(of process: Int32) {
        guard process > 0,
            let descriptor = try? OwnedDescriptor(checking: mp_pidfd_open(process), "opening a dead process")
        else { return }
        let deadline = Deadline(timeout: .seconds(2))
        var entry = pollfd(fd: descriptor.number, events: Int16(POLLIN), revents: 0)
        while true {
            let count = poll(&entry, 1, deadline.pollTimeout)
            if count > 0 || (count < 0 && errno != EINTR) || deadline.hasPassed { return }
        }
    }
}

/// Two blocks of the layout of a lock, allocated for good.
private struct SentinelPair: @unchecked Sendable {
    // Safe because only the holder's thread links them and everybody else only loads the atomic word.
    let first: UnsafeMutableRawPointer
    let second: UnsafeMutableRawPointer

    init() {
        let size = RobustLock.size
        first = .allocate(byteCount: 2 * size, alignment: size)
        first.initializeMemory(as: UInt8.self, repeating: 0, count: 2 * size)
        second = first + size
    }
}
