// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// HMAC-SHA-256 of the system's libcrypto (OpenSSL).
struct SystemMessageAuthentication: Sendable {
    /// `EVP_sha256`
    private typealias Digest = @convention(c) () -> OpaquePointer?
    /// `HMAC`, which has had this form since OpenSSL 1.0 and is not deprecated.
    private typealias Code =
        @convention(c) (
            OpaquePointer?, UnsafeRawPointer?, Int32, UnsafePointer<UInt8>?, Int, UnsafeMutablePointer<UInt8>?,
            UnsafeMutablePointer<UInt32>?
        ) -> UnsafeMutablePointer<UInt8>?

    private let digest: Digest
    private let code: Code

    /// The library, or why there is none. Loaded once and for good.
    static let shared: Result<SystemMessageAuthentication, ConnectionError> = {
        guard let library = load(), library.passesTest else {
            return .failure(
                ConnectionError(
                    .authenticationUnavailable,
                    "authentication needs the system's libcrypto (OpenSSL 1.1 or later), which could not be loaded: "
                        + "install it, or build with the package trait Crypto"
                )
            )
        }
        return .success(library)
    }()

    private static func load() -> SystemMessageAuthentication? {
        for name in ["libcrypto.so.3", "libcrypto.so.4", "libcrypto.so.1.1"] {
            // Local: its names must not meet those of another copy in the program.
            guard let handle = dlopen(name, RTLD_NOW | RTLD_LOCAL) else { continue }
            if let digest = dlsym(handle, "EVP_sha256"), let code = dlsym(handle, "HMAC") {
                // Safe because these are the C functions of those names, whose types have been the same in all the versions above.
                return SystemMessageAuthentication(
                    digest: unsafeBitCast(digest, to: Digest.self),
                    code: unsafeBitCast(code, to: Code.self)
                )
            }
            dlclose(handle)
        }
        return nil
    }

    /// Whether it computes test case 2 of RFC 4231.
    private var passesTest: Bool {
        let expected: [UInt8] = [
            0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a, 0x00,
            0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43,
        ]
        let text = Array("what do ya want for nothing?".utf8)
        return (try? code(for: text, key: Array("Jefe".utf8))) == expected
    }

    /// Makes the code of `message`.
    func code(for message: [UInt8], key: [UInt8]) throws(ConnectionError) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: MessageAuthentication.size)
        var size: UInt32 = 0
        let isMade = key.withUnsafeBytes { key in
            // An empty key is one; a null pointer would mean the key of the call before.
            var nothing: UInt8 = 0
            return withUnsafePointer(to: &nothing) { nothing in
                code(
                    digest(),
                    key.baseAddress ?? UnsafeRawPointer(nothing),
                    Int32(clamping: key.count),
                    message,
                    message.count,
                    &result,
                    &size
                ) != nil
            }
        }
        guard isMade, size == result.count else {
            throw ConnectionError(
                .authenticationUnavailable,
                "libcrypto made no HMAC-SHA-256; in its FIPS mode keys have at least 14 bytes"
            )
        }
        return result
    }
}
