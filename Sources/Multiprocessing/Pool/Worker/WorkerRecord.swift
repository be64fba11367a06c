// SPDX-License-Identifier: Apache-2.0
//
// What a pool and a worker write into each other's lanes. Each record begins with the lane's own 8 bytes, of which the last three are used here:
//
//    0  4   size of the record        4  1   kind        5  1   flags        6  2   number of descriptors beside it
//
// and goes on:
//
//    8  8   ticket: the attempt it is about; with a definition, the function's number
//   16  8   length of the payload in bytes
//   24  4   segment with the payload, if the flag says so; otherwise the payload follows the record
//   28  4   to the worker: state of a task, 0 waiting, 1 taken, 2 revoked; one compare-and-swap decides between the last two
//           to the pool: the index of the element or, with the last record of an attempt, the number of elements
//   32  8   to the worker: number of the function (4), number of pieces (4);   to the pool: nanoseconds that the task took
//   40  8   unused
//   48  …   payload

internal import MultiprocessingPrimitives
internal import Synchronization

/// The kinds of records, from 1 on.
enum WorkerRecordKind {
    /// To the worker: a task.
    static let task: UInt8 = 1
    /// To the worker: a function for later tasks.
    static let definition: UInt8 = 2
    /// To the worker: a function is not needed any more.
    static let forget: UInt8 = 3
    /// To the worker: a function to call before any task.
    static let initializer: UInt8 = 4
    /// To the worker: the end; nothing follows.
    static let stop: UInt8 = 5
    /// To the pool: the last of an attempt.
    static let result: UInt8 = 6
    /// To the pool: the outcome of one element.
    static let element: UInt8 = 7
    /// To the pool: the initializer has returned, or thrown with the payload.
    static let ready: UInt8 = 8
    /// To the pool: nothing is left in the lane towards the worker, as was asked.
    static let drained: UInt8 = 9
    /// To the pool: a function could not be kept for want of memory or descriptors, and has to be sent again.
    static let unknown: UInt8 = 10
    /// To the worker: no record from here on names a segment that came before, in either direction.
    static let trim: UInt8 = 11
}

/// What else there is to know of a record.
struct WorkerRecordFlags: OptionSet {
    let rawValue: UInt8

    /// The payload is in a segment.
    static let inSegment = WorkerRecordFlags(rawValue: 1)
    /// The segment is new, and its descriptor the last beside the record.
    static let newSegment = WorkerRecordFlags(rawValue: 2)
    /// Each element's outcome is wanted by itself, and the status line says which is at work.
    static let elementwise = WorkerRecordFlags(rawValue: 4)
    /// A mapping: pieces, each an array of elements. Otherwise the arguments of calls, one after the other.
    static let mapping = WorkerRecordFlags(rawValue: 8)
    /// The payload is an error, or begins with one.
    static let failed = WorkerRecordFlags(rawValue: 16)
    /// With a task: the function was asked to be measured element by element, for deadlines.
    static let timed = WorkerRecordFlags(rawValue: 32)
}

extension WorkerRecordFlags {
    /// Unites flags.
    ///
    /// As the one of all option sets, but for nothing being looked up in the runtime: a worker that is a copy of the pool's process (`.fork`) may find the runtime's locks held by a thread that it does not have.
    init(arrayLiteral elements: WorkerRecordFlags...) {
        var rawValue: UInt8 = 0
        var index = 0
        while index < elements.count {
            rawValue |= elements[index].rawValue
            index += 1
        }
        self.init(rawValue: rawValue)
    }
}

/// The head of a record, as it lies in a lane.
struct WorkerRecord {
    /// The bytes before the payload.
    static let headSize = 48
    /// Larger payloads travel in segments.
    static let largestInline = 16 << 10

    let start: UnsafeMutableRawPointer

    var flags: WorkerRecordFlags { WorkerRecordFlags(rawValue: start.load(fromByteOffset: 5, as: UInt8.self)) }
    var descriptorCount: Int { Int(start.load(fromByteOffset: 6, as: UInt16.self)) }
    var ticket: UInt64 { start.load(fromByteOffset: 8, as: UInt64.self) }
    var length: Int { Int(truncatingIfNeeded: start.load(fromByteOffset: 16, as: UInt64.self)) }
    var segment: Int { Int(start.load(fromByteOffset: 24, as: UInt32.self)) }
    var index: Int { Int(start.load(fromByteOffset: 28, as: UInt32.self)) }
    var function: UInt32 { start.load(fromByteOffset: 32, as: UInt32.self) }
    var pieces: Int { Int(start.load(fromByteOffset: 36, as: UInt32.self)) }
    var duration: Int64 { start.load(fromByteOffset: 32, as: Int64.self) }
    var payload: UnsafeMutableRawPointer { start + Self.headSize }

    /// Whether everything there is to it lies here, and its pieces are answered together.
    @inline(__always)
    var isPlain: Bool {
        flags.rawValue & (WorkerRecordFlags.inSegment.rawValue | WorkerRecordFlags.elementwise.rawValue) == 0
            && descriptorCount == 0
    }

    /// The state of a task.
    private var state: SharedWord { SharedWord(start, offset: 28) }

    /// Takes the task; false when it was revoked.
    @inline(__always)
    func take() -> Bool { state.replace(0, with: 1) }

    /// Revokes the task; false when it was taken.
    func revoke() -> Bool { state.replace(0, with: 2) }

    /// Whether the task was taken.
    var isTaken: Bool { state.load(.acquiring) == 1 }

    /// Writes the head.
    @inline(__always)
    func write(
        _ flags: WorkerRecordFlags,
        descriptorCount: Int,
        ticket: UInt64,
        length: Int,
        segment: Int = 0,
        index: Int = 0,
        last: UInt64 = 0
    ) {
        start.storeBytes(of: flags.rawValue, toByteOffset: 5, as: UInt8.self)
        start.storeBytes(of: UInt16(descriptorCount), toByteOffset: 6, as: UInt16.self)
        start.storeBytes(of: ticket, toByteOffset: 8, as: UInt64.self)
        start.storeBytes(of: UInt64(length), toByteOffset: 16, as: UInt64.self)
        start.storeBytes(of: UInt32(segment), toByteOffset: 24, as: UInt32.self)
        start.storeBytes(of: UInt32(index), toByteOffset: 28, as: UInt32.self)
        start.storeBytes(of: last, toByteOffset: 32, as: UInt64.self)
    }
}
