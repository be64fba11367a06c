// SPDX-License-Identifier: Apache-2.0

/// What the reactor knows: who waits for which descriptor, and until when. Tokens are never used twice, so a late event finds nobody rather than somebody else.
package struct ReactorStateMachine<Handler> {
    /// A wait under way.
    private struct Entry {
        let handler: Handler
        let isPersistent: Bool
        let descriptor: Int32?
    }

    /// Creates the state of a reactor that nobody waits for.
    package init() {}

    private var nextToken: UInt64 = 1
    private var entries: [UInt64: Entry] = [:]
    /// Deadlines as a binary heap, earliest first. Ended waits stay in it until their time comes or they are at the top.
    private var heap: [(time: Int64, token: UInt64)] = []

    /// Adds a wait. Returns its token and whether its deadline is now the earliest, so that a sleeping reactor must be told.
    package mutating func add(
        _ handler: Handler,
        descriptor: Int32?,
        isPersistent: Bool,
        deadline: Int64?
    ) -> (token: UInt64, isEarliest: Bool) {
        let token = nextToken
        nextToken += 1
        entries[token] = Entry(handler: handler, isPersistent: isPersistent, descriptor: descriptor)
        guard let deadline else { return (token, false) }
        let isEarliest = heap.first.map { deadline < $0.time } ?? true
        heap.append((deadline, token))
        siftUp(heap.count - 1)
        return (token, isEarliest)
    }

    /// Ends a wait. Returns its handler and descriptor, or nil when it has ended already.
    package mutating func remove(_ token: UInt64) -> (handler: Handler, descriptor: Int32?)? {
        guard let entry = entries.removeValue(forKey: token) else { return nil }
        dropEndedDeadlines()
        return (entry.handler, entry.descriptor)
    }

    /// Notes that the descriptor of a wait is ready. Returns the handler to call, and the descriptor when the wait has ended by that.
    package mutating func ready(_ token: UInt64) -> (handler: Handler, ended: Int32?)? {
        guard let entry = entries[token] else { return nil }
        guard !entry.isPersistent else { return (entry.handler, nil) }
        entries[token] = nil
        dropEndedDeadlines()
        return (entry.handler, entry.descriptor)
    }

    /// Ends the waits whose deadline has come and returns them.
    package mutating func expire(now: Int64) -> [(handler: Handler, descriptor: Int32?)] {
        var expired: [(handler: Handler, descriptor: Int32?)] = []
        while let first = heap.first, first.time <= now {
            popFirst()
            if let entry = entries.removeValue(forKey: first.token) {
                expired.append((entry.handler, entry.descriptor))
            }
        }
        dropEndedDeadlines()
        return expired
    }

    /// The earliest deadline there is.
    package var earliestDeadline: Int64? { heap.first?.time }

    /// The number of waits.
    package var count: Int { entries.count }

    // MARK: - The heap

    private mutating func dropEndedDeadlines() {
        while let first = heap.first, entries[first.token] == nil { popFirst() }
        // Ended waits with far deadlines must not pile up below the top.
        if heap.count > 64, heap.count > 4 * entries.count {
            let kept = heap.filter { entries[$0.token] != nil }
            heap = []
            for item in kept {
                heap.append(item)
                siftUp(heap.count - 1)
            }
        }
    }

    private mutating func popFirst() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < heap.count && heap[child].time < heap[least].time { least = child }
            guard least != parent else { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }

    private mutating func siftUp(_ start: Int) {
        var child = start
        while child > 0, heap[child].time < heap[(child - 1) / 2].time {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }
}
