// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingChannels

extension Connection {
    /// Throws unless a message was sent.
    @inline(__always)
    func sent(_ outcome: RingOutcome, _ timeout: Duration?) throws {
        guard case .done = outcome else { throw error(outcome, "sending through a connection", timeout) }
    }

    /// Throws unless a message was received.
    @inline(__always)
    func received(_ outcome: RingOutcome, _ timeout: Duration?) throws {
        guard case .done = outcome else { throw error(outcome, "receiving from a connection", timeout) }
    }

    func polled(_ outcome: RingOutcome) throws -> Bool {
        switch outcome {
        case .done: return true
        case .timedOut, .busy: return false
        case .abandoned where !link.isClosed, .shut where !link.isClosed: return true
        default: throw error(outcome, "polling a connection", nil)
        }
    }

    private func error(_ outcome: RingOutcome, _ operation: String, _ timeout: Duration?) -> any Error {
        switch outcome {
        case .cancelled: CancellationError()
        case .tooLarge: ConnectionError(.messageTooLong, "\(operation): the message is too long")
        case .shut, .abandoned:
            link.isClosed
                ? ConnectionError(.closed, "\(operation): this handle was closed")
                : ConnectionError(.endOfFile, "\(operation): nobody has the other end any more")
        default: TimeoutError(operation: operation, timeout: timeout ?? .zero)
        }
    }
}
