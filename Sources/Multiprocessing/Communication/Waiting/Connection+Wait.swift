// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

extension Connection {
    /// Waits until one of several things is ready, and returns those that are, in the order they were given; the thread is blocked.
    ///
    /// ```swift
    /// let ready = try Connection.wait(for: [connection, process.sentinel], timeout: .seconds(5))
    /// ```
    ///
    /// Ready means that receiving from a connection will not wait, at the end of file as well, but, over a socket, for the rest of a message that has begun to come: give `receive` a timeout where the other end may stop in the middle of one; that somebody can be accepted, that a queue has an element, that a process has ended, or that a
    /// descriptor is readable. Others may be faster: a message that is there now may be received by another thread or process.
    ///
    /// - Parameters:
    ///   - objects: What to wait for; with nothing at all, the call only waits.
    ///   - timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Returns: What is ready; nothing when the time is up.
    /// - Throws: `ConnectionError`: `closed`, `notReadable`. `SystemError` for a descriptor that is not open. What is closed during the wait is ready.
    @available(*, noasync)
    @_disfavoredOverload  // so that a literal of things of one type stays of that type
    public static func wait(for objects: [any Waitable], timeout: Duration? = nil) throws -> [any Waitable] {
        try MultipleWait(objects).run(until: Deadline(timeout: timeout)).map { objects[$0] }
    }

    /// Waits until one of several things is ready, and returns those that are, in the order they were given; the task is suspended.
    ///
    /// - Parameters:
    ///   - objects: What to wait for; with nothing at all, the call only waits.
    ///   - timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Returns: What is ready; nothing when the time is up.
    /// - Throws: As the blocking `wait`; `CancellationError`.
    @_disfavoredOverload  // so that a literal of things of one type stays of that type
    public static func wait(for objects: [any Waitable], timeout: Duration? = nil) async throws -> [any Waitable] {
        try await MultipleWait(objects).run(until: Deadline(timeout: timeout)).map { objects[$0] }
    }

    /// Waits until one of several things of the same type is ready, and returns those that are, in the order they were given; the thread is blocked.
    ///
    /// - Parameters:
    ///   - objects: What to wait for.
    ///   - timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Returns: What is ready; nothing when the time is up.
    /// - Throws: As the `wait` for things of several types.
    @available(*, noasync)
    public static func wait<Object: Waitable>(for objects: [Object], timeout: Duration? = nil) throws -> [Object] {
        try MultipleWait(objects).run(until: Deadline(timeout: timeout)).map { objects[$0] }
    }

    /// Waits until one of several things of the same type is ready, and returns those that are, in the order they were given; the task is suspended.
    ///
    /// - Parameters:
    ///   - objects: What to wait for.
    ///   - timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Returns: What is ready; nothing when the time is up.
    /// - Throws: As the `wait` for things of several types; `CancellationError`.
    public static func wait<Object: Waitable>(for objects: [Object], timeout: Duration? = nil) async throws -> [Object]
    {
        try await MultipleWait(objects).run(until: Deadline(timeout: timeout)).map { objects[$0] }
    }
}

/// A wait for several things. They all post one notice; who is woken looks at all of them.
struct MultipleWait: Sendable {
    private let targets: [any WaitTarget]

    /// - Throws: What makes one of them impossible to wait for.
    init(_ objects: [any Waitable]) throws {
        try self.init(targets: objects.map { try $0.waitSource.target })
    }

    /// - Throws: What makes one of them impossible to wait for.
    init(targets: [any WaitTarget]) throws {
        self.targets = targets
        for target in targets { try target.checkWaitable() }
    }

    /// Blocks the thread; returns the indices of what is ready.
    func run(until deadline: Deadline) throws -> [Int] {
        var looks = LooksAhead()
        while true {
            let ready = ready
            if !ready.isEmpty || !targets.isEmpty && deadline.hasPassed { return ready }
            let round = try Round(targets)
            defer { round.end() }
            // Look again, and do not return at once: somebody else may have been faster.
            if round.mustLookAgain { continue }
            if !round.notice.wait(until: round.limit(deadline, &looks)), deadline.hasPassed { return self.ready }
        }
    }

    /// Suspends the task; returns the indices of what is ready.
    func run(until deadline: Deadline) async throws -> [Int] {
        try Task.checkCancellation()
        var looks = LooksAhead()
        while true {
            let ready = ready
            if !ready.isEmpty || !targets.isEmpty && deadline.hasPassed { return ready }
            let reactor = try Runtime.shared().reactor
            let round = try Round(targets)
            defer { round.end() }
            // Look again, and do not return at once: somebody else may have been faster.
            if round.mustLookAgain { continue }
            let isPosted = try await round.notice.wait(until: round.limit(deadline, &looks), on: reactor)
            if !isPosted, deadline.hasPassed { return self.ready }
        }
    }

    private var ready: [Int] { targets.indices.filter { targets[$0].isReady } }

    /// One sleep: the notice, and where it is registered.
    private struct Round {
        let notice = Notice()
        private let targets: [any WaitTarget]
        private let mayMissMark: Bool

        init(_ targets: [any WaitTarget]) throws {
            self.targets = targets
            var mayMissMark = false
            do {
                for target in targets {
                    try target.add(notice)
                    if target.markWaiting() { mayMissMark = true }
                }
            } catch {
                for target in targets { target.remove(notice) }
                throw error
            }
            self.mayMissMark = mayMissMark
        }

        /// Whether something was ready before all of it was registered.
        var mustLookAgain: Bool { targets.contains { $0.isReady } }

        /// Until when to sleep at most.
        func limit(_ deadline: Deadline, _ looks: inout LooksAhead) -> Deadline {
            guard mayMissMark else {
                looks.reset()
                return deadline
            }
            return min(deadline, looks.next())
        }

        func end() {
            for target in targets { target.remove(notice) }
        }
    }
}
