// SPDX-License-Identifier: Apache-2.0

/// A call on a connection or a listener that could not be done.
public struct ConnectionError: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// The kinds of errors; more may be added.
    public struct Code: Hashable, Sendable, Codable, CustomStringConvertible {
        private enum Value: String, Codable {
            case endOfFile
            case closed
            case notReadable
            case notWritable
            case messageTooLong
            case bufferTooSmall
            case invalidLength
            case invalidMessage
            case messageUnderWay
            case authenticationFailed
            case handshakeFailed
            case invalidAddress
            case authenticationUnavailable
        }

        private let value: Value

        /// The other end is closed or its process has died, and all that it had sent was received.
        public static let endOfFile = Code(value: .endOfFile)
        /// `close()` was called on this handle.
        public static let closed = Code(value: .closed)
        /// This end can only send.
        public static let notReadable = Code(value: .notReadable)
        /// This end can only receive.
        public static let notWritable = Code(value: .notWritable)
        /// A message is longer than allowed.
        public static let messageTooLong = Code(value: .messageTooLong)
        /// A message does not fit into the buffer it was to be received into.
        public static let bufferTooSmall = Code(value: .bufferTooSmall)
        /// A message cannot have the length that was asked for.
        public static let invalidLength = Code(value: .invalidLength)
        /// What came from the other end is no message, or a part of one and then the end; the connection cannot be used any more.
        public static let invalidMessage = Code(value: .invalidMessage)
        /// A part of a message has been sent or received, so that the connection cannot go to another process now.
        public static let messageUnderWay = Code(value: .messageUnderWay)
        /// The other end does not have the same key.
        public static let authenticationFailed = Code(value: .authenticationFailed)
        /// The other end did not do its part of the handshake, or not in time.
        public static let handshakeFailed = Code(value: .handshakeFailed)
        /// There can be no listener or connection with that address.
        public static let invalidAddress = Code(value: .invalidAddress)
        /// There is nothing on this system to prove a key with.
        public static let authenticationUnavailable = Code(value: .authenticationUnavailable)

        /// The code's name.
        public var description: String { value.rawValue }
    }

    /// The kind of error.
    public let code: Code

    /// What was called, and why it cannot be done.
    public let message: String

    /// The whole message where a buffer was too small for it: it has been received and comes no second time.
    public let receivedBytes: [UInt8]?

    init(_ code: Code, _ message: String, receivedBytes: [UInt8]? = nil) {
        self.code = code
        self.message = message
        self.receivedBytes = receivedBytes
    }

    /// The message with its code.
    public var description: String { "\(message) (\(code))" }
}
