// SPDX-License-Identifier: Apache-2.0

/// The calls of one hosted value: one at a time, in the order they came.
package struct CallQueue<Call> {
    private var isBusy = false
    private var waiting: [Call] = []
    /// Where the first that waits is; those before it are gone.
    private var first = 0

    /// Creates the queue of a value that nobody uses.
    package init() {}

    /// Whether a call is being made.
    package var isInUse: Bool { isBusy }

    /// The number of calls that wait.
    package var count: Int { waiting.count - first }

    /// Adds a call. Returns it when its turn is now: then the caller makes it, and says `finish` after.
    package mutating func add(_ call: Call) -> Call? {
        if isBusy {
            waiting.append(call)
            return nil
        }
        isBusy = true
        return call
    }

    /// Ends the call that was being made. Returns the next, to be made by whoever ended this one.
    package mutating func finish() -> Call? {
        guard first < waiting.count else {
            waiting.removeAll(keepingCapacity: waiting.count < 1024)
            first = 0
            isBusy = false
            return nil
        }
        let next = waiting[first]
        first += 1
        if first > 1024, first > waiting.count / 2 {
            waiting.removeFirst(first)
            first = 0
        }
        return next
    }
}
