// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// A function that the pool has sent.
enum WorkerFunction {
    /// To be called with arguments.
    case call(ReceivedFunction)
    /// To be called for many elements.
    case mapping(ReceivedMapping)
    /// One that could not be decoded: every task with it fails so.
    case failed(any Error)

    /// Whether it has to be awaited.
    var isAsync: Bool {
        switch self {
        case .call(let function): return function.isAsync
        case .mapping(let mapping):
            if case .async = mapping.body { return true }
            return false
        case .failed: return false
        }
    }
}

/// The payload of a record.
struct WorkerPayload {
    /// The bytes, in the lane or in `region`.
    let bytes: UnsafeRawBufferPointer
    /// The coders' `userInfo` with which handles in it find their descriptors.
    let userInfo: [CodingUserInfoKey: Any]
    /// What keeps the bytes mapped; nil in the lane.
    let region: MemoryRegion?
}

/// A task that a worker is at.
///
/// `@unchecked Sendable` is safe because one thread or task at a time has it.
final class WorkerTask: @unchecked Sendable {
    let ticket: UInt64
    let function: WorkerFunction
    let payload: WorkerPayload
    /// The number of pieces: calls, or arrays of elements to map.
    let pieces: Int
    /// Whether each piece is answered by itself.
    let isElementwise: Bool
    let isTimed: Bool
    /// Where the arguments of the piece at work are.
    var reader: WireReader
    /// The piece at work.
    var index = 0
    /// What it threw.
    var error: (any Error)?
    /// Where the next piece begins, where each is told by its length.
    private var outer: WireReader

    init(_ head: WorkerRecord, _ function: WorkerFunction, _ payload: WorkerPayload) {
        ticket = head.ticket
        self.function = function
        self.payload = payload
        pieces = head.pieces
        isElementwise = head.flags.contains(.elementwise)
        isTimed = head.flags.contains(.timed)
        outer = WireReader(payload.bytes)
        reader = outer
    }

    /// Finds the next piece by its length, so that one that cannot be decoded does not lead the others astray.
    func openPiece() {
        guard let length = try? outer.read(UInt64.self), let bytes = try? outer.readBytes(Int(clamping: length)) else {
            // Nothing is left to decode then, which fails that piece.
            reader = WireReader(UnsafeRawBufferPointer(start: nil, count: 0))
            return
        }
        reader = WireReader(bytes)
    }
}
