// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// The way to a manager of this machine: the door, through which a process makes itself a channel, and the pages that tell how the manager ended.
final class LocalRoute: Sendable {
    let door: SharedDescriptor
    let epitaph: Epitaph
    /// How the manager ended, once nobody was found behind the door.
    private let end = PlainMutex<ManagerLost?>(nil)

    init(door: SharedDescriptor, epitaph: Epitaph) {
        self.door = door
        self.epitaph = epitaph
    }

    /// How the manager ended, if that is known and it will not come back.
    var lost: ManagerLost? { epitaph.last ?? end.withLock { $0 } }

    /// Makes a channel to the process that serves `manager`.
    func openChannel(_ manager: ManagerIdentity) throws -> ClientChannel {
        let deaths = epitaph.deaths
        let link = try ManagerServer.openLink(manager) ?? openLink()
        return ClientChannel(link, epitaph: epitaph) { [self] number in whyEnded(number ?? deaths) }
    }

    /// Why a channel has ended that was made after so many ends of the manager's processes. Blocks until that is known, for a moment.
    private func whyEnded(_ deaths: UInt32) -> ManagerLost {
        if let lost = epitaph.read(after: deaths, within: Epitaph.timeout) { return lost }
        // While somebody is behind the door, through which nothing comes but its end, it was only the channel: the next call makes another.
        let code: ManagerLost.Code = Polling.isReadable(door.number) ? .unknown : .disconnected
        return ManagerLost(code, status: nil, processIdentifier: epitaph.processIdentifier)
    }

    /// Makes a link to the process that serves.
    func openLink() throws -> RingLink {
        let (here, there) = try RingLink.pair(duplex: true)
        try bring(Connection(there))
        return here
    }

    /// Throws how the manager ended if nobody is behind the door any more. Blocks until that is known, for a moment.
    func checkForServer() throws {
        let deaths = epitaph.deaths
        if Polling.isReadable(door.number) { throw noteEnd(deaths) }
    }

    /// Finds out how the manager ended when nobody is behind the door, and keeps that.
    private func noteEnd(_ deaths: UInt32) -> ManagerLost {
        let lost =
            epitaph.read(after: deaths, within: Epitaph.timeout)
            ?? ManagerLost(.unknown, status: nil, processIdentifier: epitaph.processIdentifier)
        end.withLock { $0 = lost }
        return lost
    }

    /// Hands the server's end of a connection in.
    ///
    /// - Throws: `ManagerLost` when nobody is behind the door.
    func bring(_ connection: Connection) throws {
        let message = OutgoingMessage()
        try message.encode(connection)
        let deaths = epitaph.deaths
        do {
            try knock(message)
        } catch let error as SystemError where error.code == EPIPE || error.code == ECONNRESET {
            throw noteEnd(deaths)
        }
    }

    /// Sends a message through the door.
    private func knock(_ message: OutgoingMessage) throws {
        let number = try OwnedDescriptor(checking: mp_duplicate(door.number), "opening the door of a manager")
        let link = Link(number)
        try message.withBytes { bytes throws(SystemError) in
            try link.send(.connect, bytes, descriptors: message.descriptors)
        }
    }

    /// Attaches what another process needs to be a client, and says what it is.
    func encode(type: Any.Type, to encoder: any Encoder) throws -> [UInt32] {
        [
            try HandleMemory.index(of: door.number, owner: door, type: type, in: encoder),
            try HandleMemory.index(of: epitaph.descriptor, owner: epitaph, type: type, in: encoder),
        ]
    }
}
