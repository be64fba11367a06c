// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// What came back for the pieces of a job, in the order it came. It owns the descriptors of handles in the answers.
///
/// Most answers are a few bytes and nothing else, of which there may be millions: their bytes lie one behind the other, and what there is to know of each besides is plain numbers.
struct AnswerList: ~Copyable {
    /// What came back for some pieces.
    struct Answer: BitwiseCopyable {
        private let first: Int
        private let end: Int
        /// Where its bytes begin, if they were copied.
        fileprivate let start: Int
        /// How many bytes it has.
        let size: Int
        /// Where in `extras` the rest is; -1 for a result whose bytes were copied.
        fileprivate let extra: Int

        fileprivate init(_ pieces: Range<Int>, start: Int, size: Int, extra: Int) {
            first = pieces.lowerBound
            end = pieces.upperBound
            self.start = start
            self.size = size
            self.extra = extra
        }

        var pieces: Range<Int> { first..<end }
    }

    /// What not every answer has.
    private struct Extra {
        let place: Place
        let threw: Bool
        var descriptors: [Int32] = []
        var worker = ""
    }

    /// Where an answer is.
    private enum Place {
        case copied
        case leased(UnsafeRawBufferPointer, any AnyObject & Sendable)
        case values([any Sendable])
        case failed(any Error)
    }

    private var answers: [Answer] = []
    private var extras: [Extra] = []
    private var bytes = WireWriter()

    deinit {
        for extra in extras {
            for number in extra.descriptors { close(number) }
        }
    }

    var isEmpty: Bool { answers.isEmpty }
    var count: Int { answers.count }

    subscript(index: Int) -> Answer { answers[index] }

    // MARK: - Storing

    /// Keeps what came back.
    mutating func store(_ pieces: Range<Int>, _ result: ResultEnvelope) {
        let start = bytes.count
        if result.isPlain {
            bytes.writeBytes(result.bytes)
            return answers.append(Answer(pieces, start: start, size: result.bytes.count, extra: -1))
        }
        let place: Place
        switch result.outcome {
        case .values(let values): place = .values(values)
        case .failed(let error): place = .failed(error)
        case nil:
            if let lease = result.lease {
                place = .leased(result.bytes, lease)
            } else {
                bytes.writeBytes(result.bytes)
                place = .copied
            }
        }
        let size = result.outcome == nil ? result.bytes.count : 0
        answers.append(Answer(pieces, start: start, size: size, extra: extras.count))
        extras.append(
            Extra(place: place, threw: result.threw, descriptors: result.descriptors, worker: result.worker)
        )
    }

    /// Notes that some pieces failed without an answer.
    mutating func store(_ pieces: Range<Int>, failure error: any Error) {
        answers.append(Answer(pieces, start: 0, size: 0, extra: extras.count))
        extras.append(Extra(place: .failed(error), threw: true))
    }

    // MARK: - Reading

    /// The answers in the order of their pieces; `pieces` is how many pieces there are.
    func inOrder(pieces: Int) -> [Int] {
        // By its first piece each answer has a place of its own.
        var order = [Int](repeating: -1, count: pieces)
        for index in answers.indices where order.indices.contains(answers[index].pieces.lowerBound) {
            order[answers[index].pieces.lowerBound] = index
        }
        return order.filter { $0 >= 0 }
    }

    /// The bytes of an answer, if it is a result without handles; nil for any other.
    @inline(__always)
    func plainBytes(_ index: Int) -> UnsafeRawBufferPointer? {
        let answer = answers[index]
        guard answer.extra < 0 else { return nil }
        return bytes.withUnsafeBytes { UnsafeRawBufferPointer(rebasing: $0[answer.start..<answer.start + answer.size]) }
    }

    /// Calls `body` with a reader of an answer; throws the error that the answer is.
    func read<R>(_ index: Int, _ body: (inout WireReader, [CodingUserInfoKey: Any]) throws -> R) throws -> R {
        if let plain = plainBytes(index) {
            var reader = WireReader(plain)
            return try body(&reader, Self.withoutDescriptors.value)
        }
        let answer = answers[index]
        let extra = extras[answer.extra]
        switch extra.place {
        case .failed(let error): throw error
        case .values: throw PoolError(.engine, "a result that was to be encoded is not")
        case .leased(let leased, let lease):
            return try withExtendedLifetime(lease) { try Self.read(leased, extra, body) }
        case .copied:
            return try bytes.withUnsafeBytes { bytes in
                let part = UnsafeRawBufferPointer(rebasing: bytes[answer.start..<answer.start + answer.size])
                return try Self.read(part, extra, body)
            }
        }
    }

    /// What answers without descriptors are decoded with, on any thread: nothing in it changes, since there is nothing to be taken out of it.
    static let withoutDescriptors = SendableBox<[CodingUserInfoKey: Any]>(
        [CarriedDescriptors.userInfoKey: CarriedDescriptors(received: [])]
    )

    private static func read<R>(
        _ bytes: UnsafeRawBufferPointer,
        _ extra: Extra,
        _ body: (inout WireReader, [CodingUserInfoKey: Any]) throws -> R
    ) throws -> R {
        var reader = WireReader(bytes)
        // Duplicates, so that an outcome can be asked for again.
        var own: [Int32] = []
        for number in extra.descriptors {
            let duplicate = fcntl(number, F_DUPFD_CLOEXEC, 3)
            guard duplicate >= 0 else {
                let error = SystemError(code: errno, operation: "taking handles out of a result")
                for number in own { close(number) }
                throw error
            }
            own.append(duplicate)
        }
        let userInfo: [CodingUserInfoKey: Any] = [CarriedDescriptors.userInfoKey: CarriedDescriptors(received: own)]
        guard extra.threw else { return try body(&reader, userInfo) }
        return try Outcome.read(from: &reader, userInfo, processName: extra.worker, result: body)
    }

    /// The values of an answer that was not encoded; throws the error that the answer is.
    func values(_ index: Int) throws -> [any Sendable] {
        let answer = answers[index]
        guard answer.extra >= 0 else {
            throw PoolError(.engine, "a result that was to stay as it is was encoded")
        }
        switch extras[answer.extra].place {
        case .values(let values): return values
        case .failed(let error): throw error
        case .copied, .leased: throw PoolError(.engine, "a result that was to stay as it is was encoded")
        }
    }
}
