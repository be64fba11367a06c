// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// One message as it was received: its kind, its bytes and the descriptors beside them.
///
/// Not `Sendable`: read by whoever received it.
final class Message {
    /// What it is about.
    let kind: MessageKind
    /// The descriptors; those not taken are closed with the message.
    let descriptors: CarriedDescriptors
    private let storage: Storage

    /// Where the bytes are.
    private enum Storage {
        case inline([UInt8])
        case mapped(UnsafeMutableRawBufferPointer, count: Int)
    }

    /// Creates a message whose bytes came with it.
    init(kind: MessageKind, bytes: [UInt8], descriptors: [Int32]) {
        self.kind = kind
        self.descriptors = CarriedDescriptors(received: descriptors)
        storage = .inline(bytes)
    }

    /// Creates a message whose first `count` bytes are in the memory file `file`, which is mapped, not copied.
    init(
        kind: MessageKind,
        count: Int,
        in file: borrowing OwnedDescriptor,
        descriptors: [Int32]
    ) throws(SystemError) {
        self.kind = kind
        self.descriptors = CarriedDescriptors(received: descriptors)
        var status = stat()
        guard fstat(file.number, &status) == 0 else { throw SystemError("asking for the size of a message") }
        // Beyond the end of the file every access would be a SIGBUS, so it must not be able to shrink either, or to change while it is read.
        guard count > 0, count <= Int(status.st_size), mp_is_sealed(file.number) else {
            throw SystemError(code: EBADMSG, operation: "receiving a message")
        }
        let address = mmap(nil, count, PROT_READ, MAP_PRIVATE, file.number, 0)
        guard let address, address != MAP_FAILED else { throw SystemError("mapping a message of \(count) bytes") }
        storage = .mapped(UnsafeMutableRawBufferPointer(start: address, count: count), count: count)
    }

    /// Calls `body` with a reader of the bytes, valid during the call.
    func withReader<R>(_ body: (inout WireReader) throws -> R) rethrows -> R {
        switch storage {
        case .inline(let bytes):
            try bytes.withUnsafeBytes { bytes in
                var reader = WireReader(bytes)
                return try body(&reader)
            }
        case .mapped(let memory, let count):
            try withExtendedLifetime(self) {
                var reader = WireReader(UnsafeRawBufferPointer(rebasing: memory[..<count]))
                return try body(&reader)
            }
        }
    }

    /// The coders' `userInfo` with which handles in this message find their descriptors.
    var userInfo: [CodingUserInfoKey: Any] {
        [CarriedDescriptors.userInfoKey: descriptors]
    }

    deinit {
        if case .mapped(let memory, _) = storage { munmap(memory.baseAddress, memory.count) }
    }
}
