// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Returns the string whose UTF-8 the bytes are, or nil when they are none.
///
/// `String(validating:as:)` says the same, but goes through its bytes one by one in unspecialised code. `String(decoding:as:)` has a fast path, and repairs what is wrong: a
/// string whose bytes are those given needed no repair.
@inline(__always)
func validString(_ bytes: UnsafeRawBufferPointer) -> String? {
    guard let base = bytes.baseAddress, !bytes.isEmpty else { return "" }
    var string = String(decoding: bytes, as: UTF8.self)
    let isUnchanged = string.withUTF8 { utf8 in
        utf8.count == bytes.count && utf8.baseAddress.map { memcmp($0, base, bytes.count) == 0 } ?? false
    }
    return isUnchanged ? string : nil
}
