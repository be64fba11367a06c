// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingWireCoding

/// A message on its way out: its bytes, and the descriptors beside them.
///
/// `@unchecked` is safe because only one call at a time uses a buffer: it takes it out of its pool and puts it back.
final class OutgoingMessage: @unchecked Sendable {
    // Only one call at a time uses a buffer, so that nothing has to be checked each time.
    @exclusivity(unchecked) private var writer = WireWriter()
    private let carried = CarriedDescriptors()
    private let userInfo: [CodingUserInfoKey: Any]

    /// Memory that is kept for the next message, in bytes.
    static let keptCapacity = 4 << 20

    /// Creates an empty message.
    ///
    /// - Parameter refusal: Why it can carry no handles; nil if it can.
    init(refusal: String? = nil) {
        userInfo =
            refusal.map { [HandleNotPortable.refusalKey: $0] } ?? [CarriedDescriptors.userInfoKey: carried]
    }

    /// Encodes `value` as the message.
    func encode<T: Encodable>(_ value: T) throws {
        try WireCoding.encode(value, into: &writer, userInfo: userInfo)
    }

    /// Adds what `body` writes; it gets the coders' `userInfo` as well.
    func write<R>(_ body: (inout WireWriter, [CodingUserInfoKey: Any]) throws -> R) rethrows -> R {
        try body(&writer, userInfo)
    }

    /// Attaches a descriptor that `owner` keeps open.
    func attach(_ number: Int32, owner: AnyObject) {
        _ = carried.attach(number, owner: owner)
    }

    /// Adds bytes as they are.
    func append(_ bytes: UnsafeRawBufferPointer) {
        writer.writeBytes(bytes)
    }

    /// The descriptors of the handles in the message.
    var descriptors: [Int32] { carried.numbers }

    /// Calls `body` with the bytes.
    func withBytes<R, Failure: Error>(_ body: (UnsafeRawBufferPointer) throws(Failure) -> R) throws(Failure) -> R {
        try writer.withUnsafeBytes(body)
    }

    /// Makes it empty for the next message.
    func reset() {
        carried.forgetAttached()
        writer.removeAll(keepingCapacity: writer.capacity <= Self.keptCapacity)
    }
}
