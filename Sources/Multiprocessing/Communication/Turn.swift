// SPDX-License-Identifier: Apache-2.0
//
// What refers to the tasks and threads of this process is `ForkLocal`: a forked copy must neither resume its parent's tasks nor wait for a lock that one of its threads held.

internal import MultiprocessingPrimitives

/// Lets tasks of this process do something one after the other, in the order they came.
final class Turn: Sendable {
    private final class State: Sendable {
        struct Fields {
            var isTaken = false
            var isAbolished = false
            var queue: [Notice] = []
        }

        let fields = PlainMutex(Fields())
    }

    private let state = ForkLocal { State() }

    /// Waits for the caller's turn; false when the deadline came before.
    ///
    /// - Throws: `CancellationError` as soon as the task is cancelled.
    func begin(until deadline: Deadline, on reactor: Reactor) async throws -> Bool {
        guard let notice = queueUp() else { return true }
        do {
            if try await notice.wait(until: deadline, on: reactor) { return true }
        } catch {
            giveUp(notice)
            throw error
        }
        giveUp(notice)
        return false
    }

    /// Waits for the caller's turn, blocking the thread; false when the deadline came before.
    func begin(until deadline: Deadline) -> Bool {
        guard let notice = queueUp() else { return true }
        if notice.wait(until: deadline) { return true }
        giveUp(notice)
        return false
    }

    /// Lets everybody go who waits now or later, because there is nothing to take turns at any more: who goes on finds that out first.
    func abolish() {
        let queue = state.value.fields.withLock { state in
            state.isAbolished = true
            defer { state.queue = [] }
            return state.queue
        }
        for notice in queue { notice.post() }
    }

    /// Takes a free turn, or a place in the queue for it.
    private func queueUp() -> Notice? {
        state.value.fields.withLock { state -> Notice? in
            guard state.isTaken, !state.isAbolished else {
                state.isTaken = true
                return nil
            }
            let notice = Notice()
            state.queue.append(notice)
            return notice
        }
    }

    /// Passes the turn on.
    func end() {
        let next = state.value.fields.withLock { state -> Notice? in
            guard !state.queue.isEmpty else {
                state.isTaken = false
                return nil
            }
            return state.queue.removeFirst()
        }
        next?.post()
    }

    /// Leaves the queue; a turn that came too late is passed on.
    private func giveUp(_ notice: Notice) {
        let isQueued = state.value.fields.withLock { state in
            guard let index = state.queue.firstIndex(where: { $0 === notice }) else { return false }
            state.queue.remove(at: index)
            return true
        }
        if !isQueued { end() }
    }
}
