// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// The answer to a call that somebody may ask for later, once it is there.
final class ResultWaiter: Sendable {
    private struct State {
        var response: ManagerResponse?
        var isTaken = false
        /// What was read from the answer: handles in it can be taken out once.
        var outcome: Outcome?
        /// Threads that wait for it.
        var threads: [ThreadWaiter] = []
        /// What tasks wait for.
        var notice: Notice?
    }

    /// What was read from an answer, of whatever type.
    private enum Outcome {
        case result(any Sendable)
        case failure(any Error)
    }

    let channel: ClientChannel
    private let state = Mutex(State())
    /// The function that the manager knows once it has answered.
    private let told: ManagedFunction.Key?

    init(_ channel: ClientChannel, telling told: ManagedFunction.Key?) {
        self.channel = channel
        self.told = told
    }

    deinit {
        if case .message(let message) = state.withLock({ $0.response }) { channel.discard(message) }
    }

    /// Gives it the answer.
    func answer(_ response: ManagerResponse) {
        if let told, response.isOfKnownFunction { channel.functions.withLock { $0.noteKnown(told) } }
        let (threads, notice) = state.withLock { state in
            state.response = response
            defer { (state.threads, state.notice) = ([], nil) }
            return (state.threads, state.notice)
        }
        for thread in threads { thread.tell() }
        notice?.post()
    }

    /// Whether the answer is there, or was.
    var isAnswered: Bool { state.withLock { $0.response != nil || $0.isTaken } }

    /// Whether there is no answer and will be none.
    var isLost: Bool {
        state.withLock { if case .lost = $0.response { true } else { false } }
    }

    /// Adds a thread that is told of the answer. Returns false when it is there.
    func add(_ thread: ThreadWaiter) -> Bool {
        state.withLock { state in
            if state.response != nil || state.isTaken { return false }
            state.threads.append(thread)
            return true
        }
    }

    /// Forgets a thread that does not wait any longer.
    func remove(_ thread: ThreadWaiter) {
        state.withLock { state in state.threads.removeAll { $0 === thread } }
    }

    /// What is posted when the answer comes; nil when it has.
    func notice() -> Notice? {
        state.withLock { state in
            if state.response != nil || state.isTaken { return nil }
            let notice = state.notice ?? Notice()
            state.notice = notice
            return notice
        }
    }

    /// Returns what `read` reads from the answer, once that is there; the same each time.
    func take<R: Sendable>(_ read: (inout WireReader, [CodingUserInfoKey: Any]) throws -> R) throws -> R {
        try state.withLock { state in
            if let outcome = state.outcome { return try Self.get(outcome) }
            // Can be read as often as one likes.
            if case .done = state.response { return try channel.take(.done, read) }
            let response = state.response ?? .lost
            (state.response, state.isTaken) = (nil, true)
            do {
                let result = try channel.take(response, read)
                state.outcome = .result(result)
                return result
            } catch {
                state.outcome = .failure(error)
                throw error
            }
        }
    }

    private static func get<R>(_ outcome: Outcome) throws -> R {
        switch outcome {
        case .failure(let error): throw error
        case .result(let result):
            guard let result = result as? R else { preconditionFailure("an answer is read as one type") }
            return result
        }
    }
}

extension ManagerResponse {
    /// Whether it comes from a manager that has understood the function.
    fileprivate var isOfKnownFunction: Bool {
        switch self {
        case .done: true
        case .message(let message): message.count >= 9 && message.bytes[8] != ManagerAnswer.refused.rawValue
        // Not known well enough.
        case .failed, .lost: false
        }
    }
}
