// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives
internal import Synchronization

/// The answer to a call, as bytes.
enum ManagerResponse: Sendable {
    /// The call was made, and has no result.
    case done
    /// There is something to read, behind the number of the call. To be given back to the link's buffers.
    case message(IncomingMessage)
    /// There will be no answer.
    case lost
}

/// One who waits for the answer to a call.
enum CallWaiter: Sendable {
    case thread(ThreadWaiter)
    case task(TaskWaiter)
}

/// A thread that waits for the answer to a call.
final class ThreadWaiter: Sendable {
    private static let waits: UInt32 = 0
    private static let leads: UInt32 = 1
    private static let isAnswered: UInt32 = 2

    private let word: SharedWord
    private let response = Mutex<ManagerResponse?>(nil)

    init() {
        word = SharedWord(.allocate(capacity: 1))
        word.initialize(Self.waits)
    }

    deinit {
        word.deallocate()
    }

    /// Gives it the answer. It may be gone right after.
    func answer(_ response: ManagerResponse) {
        self.response.withLock { $0 = response }
        signal(Self.isAnswered)
    }

    /// Lets it read.
    func lead() {
        signal(Self.leads)
    }

    private func signal(_ state: UInt32) {
        word.exchange(state)
        word.wake(1)
    }

    /// Blocks until it is answered or has to lead; nil for the latter.
    func wait() -> ManagerResponse? {
        if !Spinning.wait(until: { word.load() != Self.waits }) {
            while word.load() == Self.waits { _ = word.wait(while: Self.waits, until: .never) }
        }
        return response.withLock { $0 }
    }
}

/// A task that waits for the answer to a call.
final class TaskWaiter: Sendable {
    private enum State {
        case empty
        case suspended(CheckedContinuation<ManagerResponse, any Error>)
        case answered(ManagerResponse)
        case cancelled
        case taken
    }

    private let state = Mutex(State.empty)

    /// Gives it the answer. Returns whether it takes it: not after a cancellation.
    func answer(_ response: ManagerResponse) -> Bool {
        let (continuation, isTaken) = state.withLock {
            state -> (CheckedContinuation<ManagerResponse, any Error>?, Bool) in
            switch state {
            case .empty:
                state = .answered(response)
                return (nil, true)
            case .suspended(let continuation):
                state = .taken
                return (continuation, true)
            default:
                return (nil, false)
            }
        }
        continuation?.resume(returning: response)
        return isTaken
    }

    /// Ends the wait. Returns the answer that has come and will not be taken.
    func cancel() -> ManagerResponse? {
        let (continuation, left) = state.withLock {
            state -> (CheckedContinuation<ManagerResponse, any Error>?, ManagerResponse?) in
            switch state {
            case .suspended(let continuation):
                state = .taken
                return (continuation, nil)
            case .empty:
                state = .cancelled
                return (nil, nil)
            case .answered(let response):
                state = .cancelled
                return (nil, response)
            default:
                return (nil, nil)
            }
        }
        continuation?.resume(throwing: CancellationError())
        return left
    }

    /// Suspends until it is answered.
    func wait() async throws -> ManagerResponse {
        try await withCheckedThrowingContinuation { continuation in
            let now = state.withLock { state -> Result<ManagerResponse, any Error>? in
                switch state {
                case .answered(let response):
                    state = .taken
                    return .success(response)
                case .cancelled:
                    return .failure(CancellationError())
                default:
                    state = .suspended(continuation)
                    return nil
                }
            }
            if let now { continuation.resume(with: now) }
        }
    }
}
