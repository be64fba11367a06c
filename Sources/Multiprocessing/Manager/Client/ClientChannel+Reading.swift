// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingChannels
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding
internal import Synchronization

extension ClientChannel {
    // MARK: - A thread that reads

    /// Reads answers until its own is there, hands the others on, and lets somebody else read then.
    func lead<R>(
        _ number: UInt64,
        _ waiter: ThreadWaiter,
        _ read: (inout WireReader, [CodingUserInfoKey: Any]) throws -> R
    ) throws -> R {
        var message = link.buffers.takeIncoming()
        defer { link.buffers.giveBack(message) }
        while true {
            // An error is the end as well: an answer is lost, and nobody can say whose.
            guard (try? link.receive(into: message, until: .never)) == .done else {
                _ = endOfChannel()
                resign()
                throw lost
            }
            let answered = Self.number(of: message)
            if answered == number {
                _ = calls.withLock { $0.remove(number) }
                resign()
                return try decode(message, read)
            }
            if handOver(message, answered) { message = link.buffers.takeIncoming() } else { message.reset() }
        }
    }

    /// Lets somebody else read.
    func resign() {
        switch calls.withLock({ $0.resign() }) {
        case .thread(let waiter): Self.lead(waiter)
        case .startPump: startPump()
        case .nobody: break
        }
    }

    private static func lead(_ waiter: CallWaiter) {
        if case .thread(let waiter) = waiter { waiter.lead() }
    }

    /// Which call a message answers.
    static func number(of message: IncomingMessage) -> UInt64 {
        // 0 is nobody's.
        message.count >= 9 ? message.bytes.loadUnaligned(as: UInt64.self) : 0
    }

    /// Gives an answer to the one who waits for it. Returns whether the message went with it.
    func handOver(_ message: IncomingMessage, _ number: UInt64) -> Bool {
        if let waiter = calls.withLock({ $0.remove(number) }) {
            let isEmpty = message.count == 9 && message.bytes[8] == ManagerAnswer.done.rawValue
            if Self.answer(waiter, isEmpty ? .done : .message(message)) { return !isEmpty }
        }
        noteUnasked(message)
        return false
    }

    // MARK: - The pump

    /// Starts a task that reads answers as long as tasks wait for them.
    func startPump() {
        Task.detached { [self] in await pump() }
    }

    private func pump() async {
        while true {
            // Without a place in the queue for messages: a thread may come and read meanwhile.
            let outcome = try? await link.poll(until: .never)
            guard calls.withLock({ $0.pumpBegins() }) else { return }
            let isOpen = outcome == .done && drain()
            if !isOpen { _ = calls.withLock { $0.end() }.map { Self.answer($0, .lost) } }
            switch calls.withLock({ $0.pumpPauses() }) {
            case .pause: continue
            case .handOver(let waiter): return Self.lead(waiter)
            case .end: return
            }
        }
    }

    /// Hands on all answers that are there. Returns false at the end of the channel.
    func drain() -> Bool {
        var message = link.buffers.takeIncoming()
        defer { link.buffers.giveBack(message) }
        while true {
            switch try? link.receive(into: message, until: .passed) {
            case .done:
                let isGone = handOver(message, Self.number(of: message))
                if isGone { message = link.buffers.takeIncoming() } else { message.reset() }
            case .timedOut, .busy: return true
            default: return false
            }
        }
    }
}
