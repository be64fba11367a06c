// SPDX-License-Identifier: Apache-2.0

extension UnsafeMutableRawPointer {
    /// Copies `bytes` here, which must not overlap. Up to 16 of them without a call, of which a longer copy is worth one.
    @inlinable
    @inline(__always)
    package func copyFew(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress else { return }
        let count = bytes.count
        guard count >= 8, count <= 16 else { return copyMemory(from: source, byteCount: count) }
        // Two words, which are partly or wholly the same bytes where there are fewer than 16.
        let last = count &- 8
        let words = (source.loadUnaligned(as: UInt64.self), source.loadUnaligned(fromByteOffset: last, as: UInt64.self))
        storeBytes(of: words.0, as: UInt64.self)
        storeBytes(of: words.1, toByteOffset: last, as: UInt64.self)
    }
}
