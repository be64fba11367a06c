// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import MultiprocessingPrimitives
internal import Synchronization

/// The bell of a pool's own thread.
///
/// `@unchecked Sendable` is safe because the pointer never changes and what it points to is atomic.
final class PoolThread: @unchecked Sendable {
    /// Changes with every wake; never freed while the thread lives, which holds this object.
    private let word: UnsafeMutablePointer<Atomic<UInt32>>
    private let isAsleep = Atomic<Bool>(false)
    let isStarted = Atomic<Bool>(false)

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
        }
    }

    /// Replaces workers, calls callbacks, and leads where nobody else does, until nothing is left of the pool.
    private func runThread() {
        while true {
            let ticket = thread.ticket
            let (isOver, called) = withLock {
                if !isLed { advance() }
                let called = callbacks
                callbacks = []
                return (phase != .running && session.isEmpty && called.isEmpty, called)
            }
            for callback in called { callback() }
            if isOver { break }
            if withLock({ session.needsMaintenance }) { session.maintain() }
            let leads = withLock {
                let hasWork = machine.running > 0 || machine.waiting > 0
                guard hasWork, !isLed, callbacks.isEmpty else { return false }
                isLed = true
                return true
            }
            let deadline = withLock { session.maintenanceDeadline }
            if leads {
                session.wait(until: deadline)
                withLock {
                    isLed = false
                    advance()
                }
            } else {
                thread.sleep(ticket, until: deadline)
            }
        }
        gone.post()
    }
}
