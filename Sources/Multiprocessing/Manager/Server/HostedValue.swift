// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions
internal import MultiprocessingWireCoding
internal import Synchronization

/// A call whose function and argument are there.
enum HostedCall {
    /// To be made on a thread that may block.
    case sync(() throws -> ResultEncoder?)
    /// To be awaited.
    case async(() async throws -> ResultEncoder?)
    /// Answers itself, now or later, and does not take long.
    case waiting((PendingCall) -> Void)
}

/// A call with the one who waits for it.
///
/// `@unchecked` is safe because one thread or task at a time has it: who decoded it, then the value's queue, then who makes it.
final class PendingCall: @unchecked Sendable {
    let call: HostedCall
    let number: UInt64
    let session: ServerSession
    /// The size of the request; 0 for a call that the server makes itself, which counts for nobody.
    var bytes = 0

    init(_ call: HostedCall, number: UInt64, session: ServerSession) {
        self.call = call
        self.number = number
        self.session = session
    }
}

/// A value in a manager, of whatever type.
///
/// `@unchecked` is safe because the value itself is touched only by the call whose turn it is, and the queue is locked.
class HostedValue: @unchecked Sendable {
    private let queue = Mutex(CallQueue<PendingCall>())
    private let threads: ServerThreads

    /// Creates a value whose calls are made on `threads`.
    init(threads: ServerThreads) {
        self.threads = threads
    }

    /// Reads a function on values of this type.
    func readFunction(
        from reader: inout WireReader,
        userInfo: [CodingUserInfoKey: Any]
    ) throws -> any FunctionDefinition {
        preconditionFailure("a hosted value has a type")
    }

    /// What ends the wait of a call of a client, if calls wait in this value.
    func withdrawal(of call: UInt64, by session: ServerSession) -> PendingCall? { nil }

    /// A client is gone that was in this value (`ServerSession.attach`).
    func sessionEnded(_ session: ServerSession) {}

    /// Lets the call wait for its turn. Returns it when that is now: then the caller makes it.
    func add(_ call: PendingCall) -> PendingCall? {
        queue.withLock { $0.add(call) }
    }

    /// Makes `call`, whose turn it is, and all that wait for it; on this thread those that are synchronous.
    func make(_ call: PendingCall) {
        var next: PendingCall? = call
        while let current = next {
            switch current.call {
            case .sync(let body):
                let outcome = Result { try body() }
                next = finish()
                current.session.answer(current.number, outcome)
            case .async:
                return makeAsync(current)
            case .waiting(let body):
                body(current)
                next = finish()
            }
        }
    }

    /// Ends the call that was being made. Returns the next, to be made by the caller.
    private func finish() -> PendingCall? {
        let next = queue.withLock { $0.finish() }
        if let next, next.bytes > 0 { next.session.noteTurn(of: next) }
        return next
    }

    private func makeAsync(_ call: PendingCall) {
        // A function that never suspends keeps one of the server's threads, and none of those that tasks share.
        Task.detached(executorPreference: threads) { [self] in
            guard case .async(let body) = call.call else { return }
            let outcome: Result<ResultEncoder?, any Error>
            do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
            let next = finish()
            call.session.answer(call.number, outcome)
            if let next { make(next) }
        }
    }
}

/// A value in a manager.
///
/// `@unchecked` is safe because the pointer never changes, and the value behind it is used by one call at a time: that whose turn it is.
final class Hosted<Value>: HostedValue, @unchecked Sendable {
    // Behind a pointer, because a function that awaits changes it in place, on one thread after the other.
    private let pointer: UnsafeMutablePointer<Value>

    /// Takes over a value.
    init(_ value: consuming Value, threads: ServerThreads) {
        pointer = .allocate(capacity: 1)
        pointer.initialize(to: value)
        super.init(threads: threads)
    }

    deinit {
        pointer.deinitialize(count: 1)
        pointer.deallocate()
    }

    /// Calls `body` with the value; only in the call whose turn it is.
    @inline(__always)
    func change<R>(_ body: (inout Value) throws -> R) rethrows -> R {
        try body(&pointer.pointee)
    }

    /// Awaits `body` with the value; only in the call whose turn it is.
    func change<R>(_ body: (inout Value) async throws -> R) async rethrows -> R {
        try await body(&pointer.pointee)
    }

    override func readFunction(
        from reader: inout WireReader,
        userInfo: [CodingUserInfoKey: Any]
    ) throws -> any FunctionDefinition {
        ClosureDefinition<Value>(try ReceivedMutation(from: &reader, userInfo: userInfo))
    }
}
