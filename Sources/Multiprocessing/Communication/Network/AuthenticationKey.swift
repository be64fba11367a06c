// SPDX-License-Identifier: Apache-2.0

/// The secret that both ends of a connection prove to have, without sending it.
///
/// Who listens to the handshake can try out guesses, so a key should be one that nobody guesses: ``random()`` makes one. It can be sent to children as any other value; it is not shown where it is printed.
public struct AuthenticationKey: Sendable, Codable {
    let bytes: [UInt8]

    /// Creates a key of any length from bytes.
    public init(_ bytes: some Sequence<UInt8>) {
        self.bytes = Array(bytes)
    }

    /// Creates a key from the UTF-8 bytes of a text.
    public init(_ text: String) {
        self.bytes = Array(text.utf8)
    }

    /// Makes a key of 32 bytes from the system's random numbers.
    public static func random() -> AuthenticationKey {
        AuthenticationKey(RandomBytes.make(32))
    }

    /// Calls `body` with the bytes, to be stored where only those can read them who are to connect.
    public func withUnsafeBytes<R, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> R
    ) throws(Failure) -> R {
        try bytes.span.bytes.withUnsafeBytes(body)
    }
}

extension AuthenticationKey: ExpressibleByStringLiteral {
    /// Creates a key from a text that stands in the program.
    public init(stringLiteral value: String) {
        self.init(value)
    }
}

extension AuthenticationKey: ExpressibleByArrayLiteral {
    /// Creates a key from bytes that stand in the program.
    public init(arrayLiteral elements: UInt8...) {
        self.init(elements)
    }
}

extension AuthenticationKey: CustomStringConvertible, CustomReflectable {
    /// The length only.
    public var description: String { "AuthenticationKey(\(bytes.count) bytes)" }

    /// Nothing: what is dumped ends up in logs.
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// Bytes that nobody can foretell.
enum RandomBytes {
    /// Makes `count` bytes from the system's random numbers (getrandom(2)).
    static func make(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }
}
