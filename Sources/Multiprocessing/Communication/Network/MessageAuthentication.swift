// SPDX-License-Identifier: Apache-2.0
//
// HMAC-SHA-256 (RFC 2104, FIPS 180-4), as others have made it and keep it: with the trait `Crypto` that of swift-crypto, otherwise that of the system's libcrypto, which is loaded when the first
// key is used. Programs that use no key load nothing.

#if Crypto
internal import Crypto
#endif

/// Message authentication codes.
package enum MessageAuthentication {
    /// The bytes of a code.
    package static let size = 32

    /// Makes the code of `message`.
    ///
    /// - Throws: `ConnectionError` (`authenticationUnavailable`) when there is no implementation on this system.
    package static func code(for message: [UInt8], key: [UInt8]) throws(ConnectionError) -> [UInt8] {
        #if Crypto
        return Array(HMAC<SHA256>.authenticationCode(for: message, using: SymmetricKey(data: key)))
        #else
        return try SystemMessageAuthentication.shared.get().code(for: message, key: key)
        #endif
    }

    /// Throws unless codes can be made.
    static func requireAvailable() throws(ConnectionError) {
        _ = try code(for: [], key: [])
    }

    /// Whether both are the same; takes as long whatever differs.
    @inline(never)
    package static func areEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        guard a.count == b.count else { return false }
        var difference: UInt8 = 0
        for (x, y) in zip(a, b) { difference |= x ^ y }
        return difference == 0
    }
}
