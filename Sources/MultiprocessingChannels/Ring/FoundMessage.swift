// SPDX-License-Identifier: Apache-2.0

/// A message that a consumer has found in a ring and not taken yet. It is handed on `inout`, never by value: loads of a copy that is wider than the stores just before wait for these.
package struct FoundMessage {
    /// The bytes, where they lie in shared memory; valid until `finish`.
    package internal(set) var bytes = UnsafeRawBufferPointer(start: nil, count: 0)
    /// How many descriptors come with it.
    package internal(set) var descriptorCount = 0
    /// Their ticket.
    var ticket: UInt64 = 0
    /// The head once it is taken.
    var next = RingPosition(word: 0)
    /// The slot that the bytes are in; -1: they are in the ring.
    var slot = -1
    /// How many bytes are there.
    var slotBytes = 0
    /// Whether it has been taken already, and nobody waits for `finish`: so it is with large messages.
    package internal(set) var isTaken = false

    /// Creates what `Ring.find` fills in.
    package init() {}
}

extension RingPosition {
    /// The position behind a record of so many bytes that begins here.
    @inline(__always)
    func after(bytes: Int) -> RingPosition {
        let units = (bytes + Self.unit - 1) / Self.unit
        return RingPosition(offset: offset + units, lap: lap, sequence: sequence + 1)
    }
}
