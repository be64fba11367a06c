// SPDX-License-Identifier: Apache-2.0
//
// What a process that is no relative says first to a manager with an address, after the handshake of the connection, and what it is answered. Who may share memory with the manager is given what a child has;
// to others the connection itself becomes the way to the manager's process.

internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// What brings somebody to a manager's address.
enum ManagerVisit: Codable, Sendable {
    /// To become a client.
    case join
    /// To ask how the process ended that came after so many others.
    case inquire(deaths: UInt32)
}

/// What a visitor is answered.
enum ManagerWelcome: Codable, Sendable {
    /// It is a client from now on, through what comes with this.
    case home(ManagerHome)
    /// It is a client from now on, through this connection.
    case stay(ManagerIdentity, processIdentifier: Int32, deaths: UInt32)
    /// The process has ended as told.
    case lost(ManagerDeath)
    /// The process has not ended: it was the connection.
    case lives
}

/// What the processes of one machine reach a manager by.
struct ManagerHome: Codable, Sendable {
    let identity: ManagerIdentity
    private let doorway: TravellingDescriptor
    private let pages: TravellingEpitaph

    init(_ identity: ManagerIdentity, _ route: LocalRoute) {
        self.identity = identity
        doorway = TravellingDescriptor(route.door)
        pages = TravellingEpitaph(epitaph: route.epitaph)
    }

    /// The way.
    var route: LocalRoute { LocalRoute(door: doorway.descriptor, epitaph: pages.epitaph) }
}

/// The pages of a manager's ends as a part of a message.
private struct TravellingEpitaph: Codable, Sendable {
    let epitaph: Epitaph

    init(epitaph: Epitaph) {
        self.epitaph = epitaph
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        epitaph = try Epitaph(
            adopting: HandleMemory.decodeDescriptor(type: Manager.self, from: container, decoder)
        )
    }

    func encode(to encoder: any Encoder) throws {
        try HandleMemory.encode(descriptor: epitaph.descriptor, owner: epitaph, type: Manager.self, to: encoder)
    }
}

/// How a manager ended, as a part of a message.
struct ManagerDeath: Codable, Sendable {
    private let code: UInt8
    private let status: ExitStatus?
    private let processIdentifier: Int32
    private let message: String?
    /// Identity of the image and offset in it, by turns.
    private let frames: [UInt64]

    init(_ lost: ManagerLost) {
        code = lost.code.rawValue
        status = lost.status
        processIdentifier = lost.processIdentifier
        message = lost.message
        frames = lost.frames.flatMap { [$0.image, $0.offset] }
    }

    /// The error that tells it.
    var lost: ManagerLost {
        ManagerLost(
            ManagerLost.Code(rawValue: code),
            status: status,
            processIdentifier: processIdentifier,
            message: message,
            trace: Backtrace(
                frames: stride(from: 0, to: frames.count - 1, by: 2).map { (frames[$0], frames[$0 + 1]) }
            )
        )
    }
}
