// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

extension Connection {
    /// The largest message in bytes that comes through a connection to a listener, unless another limit is given: 1 GiB.
    public static let defaultMaximumMessageSize = 1 << 30

    /// Connects to a ``Listener``; the thread is blocked until the connection stands.
    ///
    /// With a key each end proves to the other that it has the same, and neither sends it. What is sent afterwards is neither encrypted nor signed: over a network that others can read, use a tunnel.
    ///
    /// - Parameters:
    ///   - address: Where the listener is. All addresses of a host are tried one after the other.
    ///   - authenticationKey: The listener's key; nil if it has none.
    ///   - maximumMessageSize: The largest message to receive, in bytes; the other end cannot send a larger one.
    ///   - timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Throws: `ConnectionError`: `authenticationFailed` when the keys are not the same or one end has none, `handshakeFailed` when something else is at the address, `invalidAddress`,
    ///   `authenticationUnavailable`. `SystemError` when nobody is there. `TimeoutError`.
    @available(*, noasync)
    public static func connect(
        to address: Address,
        authenticationKey: AuthenticationKey? = nil,
        maximumMessageSize: Int = defaultMaximumMessageSize,
        timeout: Duration? = .seconds(30)
    ) throws -> Connection {
        let deadline = Deadline(timeout: timeout)
        let wishes = Handshake.Wishes(key: authenticationKey, messageLimit: maximumMessageSize)
        let attempt = try ConnectionAttempt(to: address, wishes, until: deadline)
        try attempt.begin()
        _ = attempt.notice.wait(until: deadline)
        return try finish(attempt, address, timeout)
    }

    /// Connects to a ``Listener``; the task is suspended until the connection stands.
    ///
    /// - Parameters:
    ///   - address: Where the listener is.
    ///   - authenticationKey: The listener's key; nil if it has none.
    ///   - maximumMessageSize: The largest message to receive, in bytes; the other end cannot send a larger one.
    ///   - timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Throws: As the blocking `connect`; `CancellationError`.
    public static func connect(
        to address: Address,
        authenticationKey: AuthenticationKey? = nil,
        maximumMessageSize: Int = defaultMaximumMessageSize,
        timeout: Duration? = .seconds(30)
    ) async throws -> Connection {
        let deadline = Deadline(timeout: timeout)
        let wishes = Handshake.Wishes(key: authenticationKey, messageLimit: maximumMessageSize)
        let attempt = try ConnectionAttempt(to: address, wishes, until: deadline)
        try attempt.begin()
        do {
            _ = try await attempt.notice.wait(until: deadline, on: Runtime.shared().reactor)
        } catch {
            attempt.abort()
            throw error
        }
        return try finish(attempt, address, timeout)
    }

    private static func finish(
        _ attempt: ConnectionAttempt,
        _ address: Address,
        _ timeout: Duration?
    ) throws -> Connection {
        do {
            // Late or not: whoever waited may have been woken late.
            if let link = try attempt.result() { return Connection(link) }
        } catch is TimeoutError {
            // Of one of the steps.
        }
        attempt.abort()
        throw TimeoutError(operation: "connecting to \(address)", timeout: timeout ?? .zero)
    }
}
