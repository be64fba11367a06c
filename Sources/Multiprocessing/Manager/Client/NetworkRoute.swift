// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// The way to a manager that shares no memory with this process: its address and key. Every process makes a connection of its own.
final class NetworkRoute: Sendable {
    /// How to get there, as a part of a message to a process of this machine.
    struct Directions: Codable, Sendable {
        let address: Address
        let key: AuthenticationKey
        let timeout: Duration?
        let processIdentifier: Int32
    }

    /// How long to ask for the reason when a connection has broken: longer than who is asked may wait for it.
    private static let inquiryTimeout = Duration.seconds(12)

    let directions: Directions
    /// How the manager ended, if that is known and it will not come back.
    private let end = Mutex<ManagerLost?>(nil)

    init(_ directions: Directions) {
        self.directions = directions
    }

    /// How the manager ended, if that is known and it will not come back.
    var lost: ManagerLost? { end.withLock { $0 } }

    /// Makes a connection to the manager, a second or later one.
    func openChannel(_ identity: ManagerIdentity) throws -> ClientChannel {
        if let lost { throw lost }
        let (welcome, connection) = try visit(.join, until: Deadline(timeout: directions.timeout))
        switch welcome {
        case .stay(identity, processIdentifier: _, let deaths): return channel(connection, identity, deaths)
        case .lost(let death):
            end.withLock { $0 = death.lost }
            throw death.lost
        default:
            throw ManagerLost(
                .disconnected,
                status: nil,
                processIdentifier: directions.processIdentifier,
                message: "another manager is at \(directions.address) now"
            )
        }
    }

    /// The channel over a connection that stands.
    func channel(_ connection: Connection, _ identity: ManagerIdentity, _ deaths: UInt32) -> ClientChannel {
        // A fork of this process has connections of its own, and must not keep this one open.
        ClientChannel(connection.link, of: identity) { [self] number in inquire(number ?? deaths) }
    }

    /// Connects, says what is wanted, and returns the answer, all before the deadline.
    ///
    /// - Throws: `ManagerLost`, also when the manager closes the connection without an answer, or says nothing.
    private func visit(_ purpose: ManagerVisit, until deadline: Deadline) throws -> (ManagerWelcome, Connection) {
        do {
            let connection = try Connection.connect(
                to: directions.address,
                authenticationKey: directions.key,
                timeout: deadline.timeLeft
            )
            try connection.send(purpose, timeout: deadline.timeLeft)
            return (try connection.receive(ManagerWelcome.self, timeout: deadline.timeLeft), connection)
        } catch {
            throw ManagerLost(
                .disconnected,
                status: nil,
                processIdentifier: directions.processIdentifier,
                message: "\(error)"
            )
        }
    }

    /// Asks why the connection has ended that was made after so many ends of the manager's processes.
    private func inquire(_ deaths: UInt32) -> ManagerLost {
        do {
            let deadline = Deadline(timeout: Self.inquiryTimeout)
            if case .lost(let death) = try visit(.inquire(deaths: deaths), until: deadline).0 { return death.lost }
        } catch let lost as ManagerLost {
            return lost
        } catch {}
        return ManagerLost(.disconnected, status: nil, processIdentifier: directions.processIdentifier)
    }
}
