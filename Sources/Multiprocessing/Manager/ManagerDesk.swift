// SPDX-License-Identifier: Apache-2.0
//
// Where processes that are no relatives ask to be let in. It is in the process that made the manager and not in the manager's: so it is there while a process that has crashed is replaced, and can tell how one
// ended.

internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// Lets processes in that come to a manager's address.
final class ManagerDesk: Sendable {
    /// The time that a visitor has to say what brings him, and that an answer may take.
    private static let patience = Duration.seconds(10)
    /// How long to wait for word of an end that a visitor has seen already. It comes from the fork server as soon as that and this process have the processor; a second is long only on an idle machine.
    private static let inquiryPatience = Duration.seconds(5)

    let listener: Listener
    let home: ManagerHome
    private let route: LocalRoute

    /// Takes visitors of `listener` to the manager `identity` by `route`.
    init(_ listener: Listener, _ identity: ManagerIdentity, _ route: LocalRoute) {
        self.listener = listener
        self.route = route
        home = ManagerHome(identity, route)
    }

    /// Begins to let visitors in, on a thread of its own.
    func begin() throws {
        try Thread.start(name: "mp-manager-desk") { [self] in serve() }
    }

    /// Lets nobody in any more.
    func close() {
        listener.close()
    }

    private func serve() {
        while true {
            do {
                let connection = try listener.accept()
                // One that says nothing holds nobody up.
                try Thread.start(name: "mp-manager-visit") { [self] in greet(connection) }
            } catch let error as ConnectionError where error.code == .closed {
                return
            } catch {
                Log.write(.warning, "a manager could not let a visitor in: \(error)")
            }
        }
    }

    private func greet(_ connection: Connection) {
        defer { connection.close() }
        // It finds the same out, and has nothing that can be understood here.
        guard connection.isSameProgram else {
            return Log.write(.warning, "a manager turned away a process with another build of the program")
        }
        do {
            switch try connection.receive(ManagerVisit.self, timeout: Self.patience) {
            case .join: try join(connection)
            case .inquire(let deaths): try answer(inquire(deaths), connection)
            }
        } catch {
            Log.write(.warning, "a manager could not let a visitor in: \(error)")
        }
    }

    private func answer(_ welcome: ManagerWelcome, _ connection: Connection) throws {
        try connection.send(welcome, timeout: Self.patience)
    }

    private func join(_ connection: Connection) throws {
        if let lost = route.epitaph.last { return try answer(.lost(ManagerDeath(lost)), connection) }
        if let link = connection.link as? StreamLink, link.terms.carriesDescriptors {
            return try answer(.home(home), connection)
        }
        let (processIdentifier, deaths) = (route.epitaph.processIdentifier, route.epitaph.deaths)
        do { try route.checkForServer() } catch let lost as ManagerLost {
            return try answer(.lost(ManagerDeath(lost)), connection)
        }
        // Before the process at work gets the connection, on which it says itself which one it is: it may be another than that of now.
        try answer(.stay(home.identity, processIdentifier: processIdentifier, deaths: deaths), connection)
        // Whom nobody lets in any more sees the end of the connection, and inquires.
        do { try route.bring(connection) } catch is ManagerLost {}
    }

    private func inquire(_ deaths: UInt32) -> ManagerWelcome {
        route.epitaph.read(after: deaths, within: Self.inquiryPatience).map { .lost(ManagerDeath($0)) } ?? .lives
    }
}
