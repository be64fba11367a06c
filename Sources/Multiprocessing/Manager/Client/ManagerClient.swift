// SPDX-License-Identifier: Apache-2.0
//
// A manager, as a process sees it that has a handle of one of its values: the door, through which it makes itself a channel at the first need; and the page that tells how the manager ended. All
// handles of a manager in a process share this, and so one channel.

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding
internal import Synchronization

/// A manager that this process has handles of.
final class ManagerClient: Sendable {
    let identity: ManagerIdentity
    private let door: SharedDescriptor
    private let epitaph: Epitaph
    /// In the process that made the manager.
    let owner: ManagerOwner?
    /// A forked copy of this process makes itself a channel of its own.
    private let slot = ForkLocal { Slot() }

    /// The channel of one process.
    private final class Slot: Sendable {
        let channel = Mutex<ClientChannel?>(nil)
    }

    /// Creates the client of a manager.
    init(identity: ManagerIdentity, door: SharedDescriptor, epitaph: Epitaph, owner: ManagerOwner? = nil) {
        self.identity = identity
        self.door = door
        self.epitaph = epitaph
        self.owner = owner
    }

    deinit {
        ManagerClients.forget(identity)
        if let owner, owner.isHere { owner.askToEnd() }
        slot.value.channel.withLock { $0 }?.close()
    }

    /// The manager's pid.
    var processIdentifier: Int32 { epitaph.processIdentifier }

    /// How the manager ended, if it has and does not come back.
    var lost: ManagerLost? { epitaph.last }

    // MARK: - The channel

    /// This process's channel, made at first use.
    ///
    /// - Throws: `ManagerLost`; `SystemError` when there is no memory or descriptor for a channel.
    func channel() throws -> ClientChannel {
        try slot.value.channel.withLock { channel in
            if let channel, !(channel.hasEnded && epitaph.willRestart) { return channel }
            let made = try connect()
            channel = made
            return made
        }
    }

    /// Says that a handle is gone that was counted in the channel with that number.
    func release(_ value: UInt64, countedIn serial: UInt64) {
        guard let channel = slot.value.channel.withLock({ $0 }), channel.serial == serial else { return }
        channel.release(value)
    }

    private func connect() throws -> ClientChannel {
        let deaths = epitaph.deaths
        return ClientChannel(try openLink()) { [epitaph] in epitaph.read(after: deaths) }
    }

    /// Makes a link to the manager.
    func openLink() throws -> RingLink {
        let (here, there) = try RingLink.pair(duplex: true)
        let message = OutgoingMessage()
        try message.encode(Connection(there))
        do {
            try knock(message)
        } catch let error as SystemError where error.code == EPIPE || error.code == ECONNRESET {
            throw epitaph.read(after: 0)
        }
        return here
    }

    /// Sends a message through the door.
    private func knock(_ message: OutgoingMessage) throws {
        let number = try OwnedDescriptor(checking: mp_duplicate(door.number), "opening the door of a manager")
        let link = Link(number)
        try message.withBytes { bytes throws(SystemError) in
            try link.send(.connect, bytes, descriptors: message.descriptors)
        }
    }

    // MARK: - Sending handles

    /// Attaches what another process needs to be a client, and says what it is.
    func encode(type: Any.Type, to encoder: any Encoder) throws -> [UInt32] {
        [
            try HandleMemory.index(of: door.number, owner: door, type: type, in: encoder),
            try HandleMemory.index(of: epitaph.descriptor, owner: epitaph, type: type, in: encoder),
        ]
    }
}

/// The managers that this process has handles of.
enum ManagerClients {
    private struct Weak {
        weak var client: ManagerClient?
    }

    private final class Table: Sendable {
        let clients = Mutex<[ManagerIdentity: Weak]>([:])
    }

    private static let table = ForkLocal { Table() }

    /// Notes a client.
    static func add(_ client: ManagerClient) {
        table.value.clients.withLock { $0[client.identity] = Weak(client: client) }
    }

    /// Forgets a client that is gone, unless there is another by now.
    static func forget(_ identity: ManagerIdentity) {
        table.value.clients.withLock { clients in
            if let entry = clients[identity], entry.client == nil { clients[identity] = nil }
        }
    }

    /// The client of a manager, made by `make` unless there is one.
    static func client(of identity: ManagerIdentity, _ make: () throws -> ManagerClient) rethrows -> ManagerClient {
        if let known = table.value.clients.withLock({ $0[identity]?.client }) { return known }
        let made = try make()
        return table.value.clients.withLock { clients in
            if let known = clients[identity]?.client { return known }
            clients[identity] = Weak(client: made)
            return made
        }
    }
}
