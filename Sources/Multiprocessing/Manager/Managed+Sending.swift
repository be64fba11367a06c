// SPDX-License-Identifier: Apache-2.0
//
// A handle under way is counted by the manager as long as the message with it exists anywhere. The sender makes a socket pair, gives one end to the manager and puts the other into the message; the
// manager drops its count at the end of file. The receiver has itself counted, and sends its end along with that, so that it is closed when that is done. Whoever is killed in between, and wherever a
// message gets lost, the kernel closes the end.
//
// The receiver's request may overtake the sender's, but not the sender's own count: the sender lets go of that later than it tells of the handle, on the same channel.
//
// No descriptor can be given to a manager elsewhere: there the sender itself keeps the value until the end of file. Between such a manager and its clients handles are numbers (HandlePassage.swift).

internal import CMultiprocessing
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// A handle as a part of a message.
private struct HandleInMessage: Codable {
    let manager: ManagerIdentity
    let value: UInt64
    /// Door and pages of a manager of this machine; then the end of the socket that stands for the handle.
    let descriptors: [UInt32]
    /// How to reach a manager elsewhere.
    let directions: NetworkRoute.Directions?
}

extension Managed {
    /// Opens the handle in a process it was sent to.
    ///
    /// - Throws: ``HandleNotPortable`` for any other decoder; ``ManagerLost`` when the manager is gone.
    public convenience init(from decoder: any Decoder) throws {
        if let passage = decoder.userInfo[HandlePassage.userInfoKey] as? HandlePassage {
            let number = try decoder.singleValueContainer().decode(UInt64.self)
            switch try passage.letIn(number) {
            case .counted(let client, let channel): self.init(client: client, number: number, channel: channel)
            case .underWay(let client, let token):
                self.init(client: client, number: number, token: token)
                try countOnArrival()
            }
            return
        }
        guard let carried = decoder.userInfo[CarriedDescriptors.userInfoKey] as? CarriedDescriptors else {
            throw HandleNotPortable(Self.self, "cannot be read by this decoder")
        }
        let container = try decoder.singleValueContainer()
        let handle = try container.decode(HandleInMessage.self)
        var received = ReceivedDescriptors(handle.descriptors.compactMap { carried.take(Int($0)) })
        guard received.count == (handle.directions == nil ? 3 : 1) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "no descriptors for \(Self.self)")
        }
        if let directions = handle.directions {
            let token = SharedDescriptor(try received.next())
            let client = ManagerClients.client(of: handle.manager) {
                ManagerClient(identity: handle.manager, route: .network(NetworkRoute(directions)))
            }
            // Counted at its first use: that takes a connection, and who decodes does not expect to wait for one.
            self.init(client: client, number: handle.value, token: token)
            return
        }
        let door = SharedDescriptor(try received.next())
        let page = try received.next()
        let token = SharedDescriptor(try received.next())
        let route = LocalRoute(door: door, epitaph: try Epitaph(adopting: page))
        let client = ManagerClients.client(of: handle.manager) {
            ManagerClient(identity: handle.manager, route: .local(route))
        }
        self.init(client: client, number: handle.value, token: token)
        try countOnArrival()
    }

    /// Has the handle counted, so that it needs no descriptor until its first use.
    private func countOnArrival() throws {
        do {
            _ = try client.request { try channel() }
        } catch let lost as ManagerLost where lost.code == .disconnected {
            // It lives, and lets nobody in at present: what stands for the handle keeps the value until the first use, which finds out.
        }
    }

    /// Encodes the handle, not the value, for a process of this program.
    ///
    /// - Throws: ``HandleNotPortable`` for any other encoder; ``ManagerLost`` when the manager is gone; `SystemError` when descriptors are short.
    public func encode(to encoder: any Encoder) throws {
        if let passage = encoder.userInfo[HandlePassage.userInfoKey] as? HandlePassage {
            guard passage.manager == client.identity else {
                throw HandleNotPortable(Self.self, "is of another manager than the one it would be sent to")
            }
            _ = try client.request { try channel() }
            try passage.letOut(number)
            var container = encoder.singleValueContainer()
            return try container.encode(number)
        }
        guard encoder.userInfo[CarriedDescriptors.userInfoKey] is CarriedDescriptors else {
            let refusal = encoder.userInfo[HandleNotPortable.refusalKey] as? String
            throw HandleNotPortable(Self.self, refusal ?? "cannot be written by this encoder")
        }
        let (ours, theirs) = try Link.pair().takeSockets()
        var descriptors: [UInt32] = []
        var directions: NetworkRoute.Directions?
        switch client.route {
        case .local(let route):
            try client.request { try channel().tell(.share, number, descriptor: theirs) }
            descriptors = try route.encode(type: Self.self, to: encoder)
        case .network(let route):
            _ = try client.request { try channel() }
            try HandlesUnderWay.keep(self, until: theirs)
            directions = route.directions
        }
        descriptors.append(try HandleMemory.index(of: ours.number, owner: ours, type: Self.self, in: encoder))
        var container = encoder.singleValueContainer()
        try container.encode(
            HandleInMessage(
                manager: client.identity,
                value: number,
                descriptors: descriptors,
                directions: directions
            )
        )
    }
}

extension LinkPair {
    /// The two sockets, to be shared.
    consuming func takeSockets() -> (SharedDescriptor, SharedDescriptor) {
        let (here, there) = (SharedDescriptor(here.socket), SharedDescriptor(there.socket))
        return (here, there)
    }
}

extension Managed: Hashable {
    /// Whether both are handles of the same value.
    public static func == (a: Managed, b: Managed) -> Bool {
        a.number == b.number && a.client.identity == b.client.identity
    }

    /// Hashes which value it is.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(number)
        hasher.combine(client.identity)
    }
}

extension Managed: CustomStringConvertible {
    /// The type and the number of the value; the value itself is elsewhere.
    public var description: String { "Managed<\(Value.self)>(\(number), manager \(client.processIdentifier))" }
}
