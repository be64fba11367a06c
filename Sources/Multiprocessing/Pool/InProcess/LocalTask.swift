// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding
internal import Synchronization

/// An attempt that is carried out in this process: what a task envelope has, taken out of what only the pool's lock protects.
///
/// `@unchecked Sendable` is safe because nothing in it changes but the cancellation, which has a lock of its own.
final class LocalTask: @unchecked Sendable {
    let ticket: UInt64
    let function: TaskFunction
    let pieces: Int
    let isElementwise: Bool
    let timeout: Duration?
    /// The arguments: encoded, or as they are where the function takes them so.
    let bytes: [UInt8]
    let values: [any Sendable]
    /// Duplicates of the descriptors beside the bytes, for the one who decodes them, or why there are none.
    private let descriptors: Mutex<Result<[Int32], SystemError>>
    private let cancellation = Mutex<(isCancelled: Bool, task: Task<Void, Never>?)>((false, nil))

    /// Takes the arguments; under the pool's lock.
    init(_ envelope: TaskEnvelope) {
        ticket = envelope.ticket
        function = envelope.function
        pieces = envelope.pieces.count
        isElementwise = envelope.isElementwise
        timeout = envelope.timeout
        guard envelope.function.direct == nil else {
            bytes = []
            values = envelope.input.values(of: envelope.pieces)
            descriptors = Mutex(.success([]))
            return
        }
        values = []
        let size = envelope.input.size(of: envelope.pieces)
        // The standard library notes the count of an array without capacity in memory that all empty arrays share: threads would race for it.
        bytes =
            size == 0
            ? []
            : Array(unsafeUninitializedCapacity: size) { buffer, count in
                count = size
                guard let base = buffer.baseAddress else { return }
                envelope.input.copy(envelope.pieces, to: UnsafeMutableRawPointer(base))
            }
        let numbers = envelope.input.descriptors(of: envelope.pieces)
        descriptors = Mutex(
            Result { () throws(SystemError) in
                try CarriedDescriptors.duplicates(of: numbers, "duplicating a descriptor of a task")
            }
        )
    }

    /// Gives the descriptors to the one who decodes the arguments, once.
    func takeDescriptors() -> Result<CarriedDescriptors, SystemError> {
        let numbers = descriptors.withLock { numbers in
            defer { numbers = .success([]) }
            return numbers
        }
        return numbers.map { CarriedDescriptors(received: $0) }
    }

    /// Notes the Swift task that an asynchronous function runs in.
    func adopt(_ task: Task<Void, Never>) {
        let isLate = cancellation.withLock { state in
            state.task = task
            return state.isCancelled
        }
        if isLate { task.cancel() }
    }

    /// Cancels the Swift task of an asynchronous function. A synchronous one goes on.
    func cancel() {
        let task = cancellation.withLock { state in
            state.isCancelled = true
            return state.task
        }
        task?.cancel()
    }

    deinit {
        _ = takeDescriptors()
    }
}

/// What came of an attempt, or of a piece of it.
///
/// `@unchecked Sendable` is safe because nothing in it changes, and one thread hands it to the next.
final class LocalAnswer: @unchecked Sendable {
    private let writer: WireWriter
    /// The answer's own, closed with it unless the pool is told of them.
    private let descriptors: CarriedDescriptors
    private let outcome: DirectOutcome?
    let threw: Bool

    /// An encoded result or error, with descriptors that are the answer's own.
    init(_ writer: consuming WireWriter, _ descriptors: [Int32], threw: Bool) {
        self.writer = writer
        self.descriptors = CarriedDescriptors(received: descriptors)
        self.threw = threw
        outcome = nil
    }

    /// Values as they are.
    init(_ outcome: DirectOutcome) {
        writer = WireWriter()
        descriptors = CarriedDescriptors(received: [])
        self.outcome = outcome
        if case .failed = outcome { threw = true } else { threw = false }
    }

    /// The encoded result or error.
    var bytes: [UInt8] { writer.withUnsafeBytes { Array($0) } }

    /// Calls `body`, once, with what the pool is told; the descriptors are the pool's then.
    func withEnvelope(nanoseconds: Int64, worker: String, _ body: (ResultEnvelope) -> Void) {
        let given = descriptors.numbers.indices.compactMap { descriptors.take($0) }
        writer.withUnsafeBytes { bytes in
            body(
                ResultEnvelope(
                    bytes: bytes,
                    lease: nil,
                    descriptors: given,
                    threw: threw,
                    nanoseconds: nanoseconds,
                    worker: worker,
                    outcome: outcome
                )
            )
        }
    }
}
