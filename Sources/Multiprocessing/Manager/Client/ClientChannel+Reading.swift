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
            let arrival = receive(into: message, until: .never)
            switch arrival {
            case .nothing: continue
            case .end:
                end()
                resign()
                throw lost
            case .message, .withoutHandles: break
            }
            if Self.number(of: message) == number {
                _ = calls.withLock { $0.remove(number) }
                resign()
                if case .withoutHandles(let error) = arrival { throw error }
                return try decode(message, read)
            }
            if handOver(message, arrival) { message = link.buffers.takeIncoming() } else { message.reset() }
        }
    }

    /// What has come, if anything.
    enum Arrival {
        case message
        /// The bytes of an answer whose handles found no room in this process.
        case withoutHandles(any Error)
        case nothing
        /// No answer will come any more.
        case end
    }

    /// Receives an answer into an empty message.
    @inline(__always)
    func receive(into message: IncomingMessage, until deadline: Deadline) -> Arrival {
        do {
            switch try link.receive(into: message, until: deadline) {
            case .done: return .message
            case .timedOut, .busy: return .nothing
            default: return .end
            }
        } catch {
            // With the bytes it is known whose answer it is: that call fails, and no other. Without, an answer is lost, and nobody can say whose.
            return message.count > 0 ? .withoutHandles(error) : .end
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

    /// Gives an answer that has arrived to the one who waits for it. Returns whether the message went with it.
    func handOver(_ message: IncomingMessage, _ arrival: Arrival) -> Bool {
        let number = Self.number(of: message)
        guard let waiter = calls.withLock({ $0.remove(number) }) else {
            noteUnasked(message)
            return false
        }
        if case .withoutHandles(let error) = arrival {
            Self.answer(waiter, .failed(error))
            return false
        }
        let isEmpty = message.count == 9 && message.bytes[8] == ManagerAnswer.done.rawValue
        if Self.answer(waiter, isEmpty ? .done : .message(message)) { return !isEmpty }
        giveBack(message, of: waiter)
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
            // A thread to wait on was not to be had: a shortage, which passes.
            if outcome == nil { try? await Task.sleep(for: .milliseconds(10)) }
            guard calls.withLock({ $0.pumpBegins() }) else { return }
            let isOpen = (outcome == .done || outcome == nil) && drain()
            if !isOpen { end() }
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
            let arrival = receive(into: message, until: .passed)
            switch arrival {
            case .message, .withoutHandles:
                let isGone = handOver(message, arrival)
                if isGone { message = link.buffers.takeIncoming() } else { message.reset() }
            case .nothing: return true
            case .end: return false
            }
        }
    }
}
