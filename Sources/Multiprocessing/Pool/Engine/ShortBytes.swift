// SPDX-License-Identifier: Apache-2.0

/// A few bytes that lie where they are needed, without memory of their own: most arguments and results of calls are a number or two, and there may be tens of thousands under way.
struct ShortBytes: BitwiseCopyable {
    /// The most bytes.
    private static var capacity: Int { 40 }

    private var words: (UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0)
    /// How many there are.
    let count: Int

    /// No bytes.
    init() {
        count = 0
    }

    /// Copies `bytes`; nil when they are too many.
    @inline(__always)
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count <= Self.capacity else { return nil }
        count = bytes.count
        withUnsafeMutableBytes(of: &words) { $0.copyMemory(from: bytes) }
    }

    /// Calls `body` with the bytes. The pointer must not outlive the call.
    @inline(__always)
    func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try withUnsafeBytes(of: words) { try body(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }
}
