// SPDX-License-Identifier: Apache-2.0
//
// Handles of a manager's values where the way between manager and client carries no descriptors: over TCP. They are numbers then, and the two ends keep count.
//
// In a request, the client's own count holds until the request has been read. In an answer, the server counts the handle for the client as it writes it, and lists the number at the end of the answer: what the
// client does not make a handle of, because it could not read the answer or nobody waits for it any more, it gives back.
//
// The end of every answer over such a connection:
//
//   8 bytes   a number, for each handle in the answer
//   4 bytes   how many

internal import MultiprocessingWireCoding

/// How handles pass through a connection that carries no descriptors. Coders find it in their `userInfo`.
///
/// Not `Sendable`: used by one coder on one thread.
class HandlePassage {
    /// Where a coder's `userInfo` holds it.
    static let userInfoKey = makeKey()

    private static func makeKey() -> CodingUserInfoKey {
        guard let key = CodingUserInfoKey(rawValue: "multiprocessing.passage") else {
            preconditionFailure("any text is a key")
        }
        return key
    }

    /// The manager at one end.
    let manager: ManagerIdentity

    init(_ manager: ManagerIdentity) {
        self.manager = manager
    }

    /// Lets a handle of the manager's value `number` out.
    func letOut(_ number: UInt64) throws {}

    /// Lets a handle of the value `number` in.
    func letIn(_ number: UInt64) throws -> HandleArrival {
        throw WireCodingError(.invalidValue, "a handle came where none can", at: 0)
    }

    /// `userInfo` with this in it.
    func added(to userInfo: [CodingUserInfoKey: Any]) -> [CodingUserInfoKey: Any] {
        var userInfo = userInfo
        userInfo[Self.userInfoKey] = self
        return userInfo
    }
}

/// A handle that has come in: whose it is, and what has counted it.
enum HandleArrival {
    /// Counted in the channel already.
    case counted(ManagerClient, ClientChannel)
    /// To be counted; what stands for it until then is closed after that.
    case underWay(ManagerClient, SharedDescriptor)
}

/// The handles in an answer, at the client.
final class AnswerPassage: HandlePassage {
    private let channel: ClientChannel
    private var numbers: [UInt64]

    /// Reads the list at the end of an answer.
    init(_ answer: UnsafeRawBufferPointer, _ manager: ManagerIdentity, _ channel: ClientChannel) throws {
        self.channel = channel
        let count = answer.count >= 4 ? Int(answer.loadUnaligned(fromByteOffset: answer.count - 4, as: UInt32.self)) : 0
        guard answer.count - 4 >= count * 8 else {
            throw WireCodingError(.invalidValue, "an answer without its end", at: answer.count)
        }
        let start = answer.count - 4 - count * 8
        numbers = (0..<count).map { answer.loadUnaligned(fromByteOffset: start + $0 * 8, as: UInt64.self) }
        rest = UnsafeRawBufferPointer(rebasing: answer[..<start])
        super.init(manager)
    }

    /// The answer without the list; valid as long as the answer.
    let rest: UnsafeRawBufferPointer

    override func letIn(_ number: UInt64) throws -> HandleArrival {
        guard let index = numbers.firstIndex(of: number), let client = ManagerClients.existing(manager) else {
            throw WireCodingError(.invalidValue, "a handle that the manager has not counted", at: 0)
        }
        numbers.remove(at: index)
        return .counted(client, channel)
    }

    /// Gives back what no handle was made of.
    func end() {
        for number in numbers { channel.release(number) }
        numbers = []
    }
}
