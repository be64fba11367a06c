// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives
internal import Synchronization

/// The answer to a call, as bytes.
enum ManagerResponse: Sendable {
    /// The call was made, and has no result.
    case done
    /// There is something to read, behind the number of the call. To be given back to the link's buffers.
    case message(IncomingMessage)
    /// The answer came, and cannot be read: its handles found no room here.
    case failed(any Error)
    /// There will be no answer.
    case lost
}

/// One who waits for the answer to a call.
enum CallWaiter: Sendable {
    case thread(ThreadWaiter)
    case task(TaskWaiter)
    case result(ResultWaiter)
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

    /// Says that the answer is there, with somebody else.
    func tell() {
        signal(Self.isAnswered)
    }

    /// What has become of it.
    enum End {
        case answered
        case leads
        case timedOut
    }

    /// Blocks until it is told, has to lead, or the deadline has come.
    func wait(until deadline: Deadline) -> End {
        while true {
            switch word.load() {
            case Self.isAnswered: return .answered
            case Self.leads: return .leads
            default: if word.wait(while: Self.waits, until: deadline) == .timedOut { return .timedOut }
            }
        }
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
///
/// A word says how far both sides are: whoever exchanges it last acts. No lock, and no memory beside this object: there may be as many as calls under way.
///
/// It knows all there is to know of its call, so that the frames of the functions that wait are small: with what they need beside this, a task that only makes a call has room in the memory it was given at first.
///
/// `@unchecked` is safe because `continuation` is written before the word says so, and read by whoever took the word from that state; `response` the other way round. `number` is written before the request is
/// sent, and `unsent` belongs to the task that calls.
final class TaskWaiter: @unchecked Sendable {
    private static let empty: UInt8 = 0
    private static let suspended: UInt8 = 1
    private static let answered: UInt8 = 2
    private static let cancelled: UInt8 = 3
    private static let taken: UInt8 = 4

    private let state = Atomic<UInt8>(TaskWaiter.empty)
    /// Whether the answer tells a value that was made for this task, and has to be given back when it does not take it.
    let getsValue: Bool
    /// Where the call is made. A call under way holds the channel, and the channel the call, until it is answered or taken back.
    let channel: ClientChannel
    /// The value in which the call may wait.
    let room: UInt64?
    /// The number of the call.
    var number: UInt64 = 0
    /// The request, when it could not be sent without waiting.
    var unsent: OutgoingMessage?
    /// Resumed by the one who takes the word from `suspended`, and by nobody else: exactly once.
    private var continuation: UnsafeContinuation<ManagerResponse, any Error>?
    private var response = ManagerResponse.lost

    /// Creates the waiter of a task that calls, or that has a value made.
    init(_ channel: ClientChannel, in room: UInt64?, getsValue: Bool) {
        self.channel = channel
        self.room = room
        self.getsValue = getsValue
    }

    /// Gives it the answer. Returns whether it takes it: not after a cancellation. Called once.
    func answer(_ response: ManagerResponse) -> Bool {
        if state.load(ordering: .relaxed) == Self.empty {  // the exchange below decides
            self.response = response
            // Releasing: what was written is seen by the acquiring exchange in `wait` or `cancel`.
            if change(Self.empty, to: Self.answered) { return true }
            self.response = .lost
        }
        guard change(Self.suspended, to: Self.taken) else { return false }
        continuation?.resume(returning: response)
        return true
    }

    /// Ends the wait. Returns the answer that has come and will not be taken.
    func cancel() -> ManagerResponse? {
        while true {
            switch state.load(ordering: .relaxed) {  // the exchanges decide
            case Self.empty:
                if change(Self.empty, to: Self.cancelled) { return nil }
            case Self.suspended:
                guard change(Self.suspended, to: Self.taken) else { continue }
                continuation?.resume(throwing: CancellationError())
                return nil
            case Self.answered:
                if change(Self.answered, to: Self.cancelled) { return response }
            default: return nil
            }
        }
    }

    /// Suspends until it is answered. Called once.
    func wait() async throws -> ManagerResponse {
        if change(Self.answered, to: Self.taken) { return response }
        return try await withUnsafeThrowingContinuation { continuation in
            self.continuation = continuation
            if change(Self.empty, to: Self.suspended) { return }
            if change(Self.answered, to: Self.taken) { return continuation.resume(returning: response) }
            continuation.resume(throwing: CancellationError())
        }
    }

    /// Acquiring and releasing: what the one side wrote before its exchange is seen by the other after its own.
    private func change(_ old: UInt8, to new: UInt8) -> Bool {
        state.compareExchange(expected: old, desired: new, ordering: .acquiringAndReleasing).exchanged
    }
}
