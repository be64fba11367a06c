// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingWireCoding

/// The handles in one message of a client over a stream, or to it, at the server.
final class SessionPassage: HandlePassage {
    private let session: ServerSession
    private var numbers: [UInt64] = []

    init(_ session: ServerSession, _ manager: ManagerIdentity) {
        self.session = session
        super.init(manager)
    }

    /// Counts the handle for the client, which gives it back if it makes none of it.
    override func letOut(_ number: UInt64) throws {
        guard session.retain(number) else { throw ManagerError(.valueGone, "the value does not exist any more") }
        numbers.append(number)
    }

    override func letIn(_ number: UInt64) throws -> HandleArrival {
        try session.server.letIn(number)
    }

    /// Writes the list at the end of an answer.
    func writeNumbers(into writer: inout WireWriter) {
        for number in numbers { writer.write(number) }
        writer.write(UInt32(numbers.count))
    }
}
