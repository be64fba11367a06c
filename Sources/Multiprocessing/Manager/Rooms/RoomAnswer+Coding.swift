// SPDX-License-Identifier: Apache-2.0
//
// An answer, behind what every answer of a manager begins with:
//
//   nothing   done
//   1 byte    1: a number, 8 bytes;   2: an element;   3: the time was over;   4: cancelled;   5: the owner died, 4 bytes: its pid;   6: refused, 1 byte: why

internal import MultiprocessingWireCoding

extension RoomAnswer where Element: Codable & Sendable {
    /// What writes the answer; nil where nothing is to be written. Not for errors of the program.
    func encoder() -> ResultEncoder? {
        switch self {
        case .done, .failed: return nil
        case .number(let number): return Self.encoder(1) { writer, _ in writer.write(Int64(number)) }
        case .element(let element):
            return Self.encoder(2) { writer, userInfo in
                try WireCoding.encode(element, into: &writer, userInfo: userInfo)
            }
        case .timedOut: return Self.encoder(3) { _, _ in }
        case .cancelled: return Self.encoder(4) { _, _ in }
        case .ownerDied(let process): return Self.encoder(5) { writer, _ in writer.write(process) }
        case .refused(let refusal): return Self.encoder(6) { writer, _ in writer.write(refusal.rawValue) }
        }
    }

    private static func encoder(_ kind: UInt8, _ rest: @escaping ResultEncoder) -> ResultEncoder {
        { writer, userInfo in
            writer.write(kind)
            try rest(&writer, userInfo)
        }
    }

    /// Reads an answer.
    init(from reader: inout WireReader, _ userInfo: [CodingUserInfoKey: Any]) throws {
        guard !reader.isAtEnd else {
            self = .done
            return
        }
        switch try reader.read(UInt8.self) {
        case 1: self = .number(Int(try reader.read(Int64.self)))
        case 2: self = .element(try WireCoding.decode(Element.self, from: &reader, userInfo: userInfo))
        case 3: self = .timedOut
        case 4: self = .cancelled
        case 5: self = .ownerDied(try reader.read(Int32.self))
        case 6: self = .refused(RoomRefusal(rawValue: try reader.read()) ?? .notOwner)
        default: throw WireCodingError(.invalidValue, "unknown kind of answer in a room", at: 0)
        }
    }
}

extension RoomAnswer {
    /// Whether the call was made in time.
    ///
    /// - Throws: Why it was not made otherwise.
    @discardableResult
    func isInTime() throws -> Bool {
        switch self {
        case .done, .number, .element: return true
        case .timedOut: return false
        case .cancelled: throw CancellationError()
        case .ownerDied(let process): throw OwnerDied(process)
        case .refused(let refusal): throw refusal.error
        case .failed(let error): throw error
        }
    }

    /// The number that was asked for.
    ///
    /// - Throws: Why there is none.
    func number() throws -> Int {
        try isInTime()
        guard case .number(let number) = self else { return 0 }
        return number
    }
}

extension RoomRefusal {
    /// The error that tells it.
    var error: any Error {
        switch self {
        case .notOwner:
            SynchronizationError(
                .notOwner,
                "the calling thread or task does not hold this lock in its manager; one whose connection broke has lost it"
            )
        case .deadlock:
            SynchronizationError(
                .deadlock,
                "acquiring a lock that the caller holds and that is not recursive would wait for ever"
            )
        case .tooManyReleases:
            SynchronizationError(.tooManyReleases, "a bounded semaphore was released more often than acquired")
        case .tooManyTasksDone:
            QueueError(.tooManyTasksDone, "taskDone() was called for more elements than were put")
        case .shutDown: QueueError(.shutDown, "the queue in the manager was shut down")
        case .broken: BrokenBarrier()
        case .brokenInTime: BrokenBarrier(timedOut: true)
        }
    }
}
