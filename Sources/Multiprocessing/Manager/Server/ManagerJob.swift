// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// What the process of a manager is started with.
struct ManagerJob: Codable, Sendable {
    private let reception: TravellingDescriptor
    /// The first client: the process that made the manager.
    let owner: Connection
    let identity: ManagerIdentity
    /// Whoever knows it may open the door and end the server.
    let key: UInt64
    /// The values' numbers are above it.
    let firstNumber: UInt64
    /// How many of the manager's processes have ended before.
    var number: UInt32 { UInt32(truncatingIfNeeded: firstNumber >> Self.numberShift) }
    /// Each process has numbers of its own for its values.
    static let numberShift: UInt64 = 40
    /// How the server itself is a client, when handles come as numbers.
    let home: ManagerHome?

    /// A job for the server behind `reception`, the inner end of the door.
    init(
        _ identity: ManagerIdentity,
        reception: SharedDescriptor,
        owner: Connection,
        key: UInt64,
        firstNumber: UInt64,
        home: ManagerHome?
    ) {
        self.identity = identity
        self.reception = TravellingDescriptor(reception)
        self.owner = owner
        self.key = key
        self.firstNumber = firstNumber
        self.home = home
    }

    /// The inner end of the door, once.
    func takeReception() throws -> OwnedDescriptor {
        // A copy of the process must keep neither open.
        ForkLock.add(reception.descriptor.number)
        return try OwnedDescriptor(checking: mp_duplicate(reception.descriptor.number), "taking the door")
    }
}

/// A descriptor as a part of a message.
struct TravellingDescriptor: Codable, Sendable {
    let descriptor: SharedDescriptor

    init(_ descriptor: SharedDescriptor) {
        self.descriptor = descriptor
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        descriptor = SharedDescriptor(
            try HandleMemory.decodeDescriptor(type: Manager.self, from: container, decoder)
        )
    }

    func encode(to encoder: any Encoder) throws {
        try HandleMemory.encode(descriptor: descriptor.number, owner: descriptor, type: Manager.self, to: encoder)
    }
}
