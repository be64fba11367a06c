// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

extension Manager {
    /// Starts a manager that processes of the same program can use which are no relatives of this one, on this machine or on others.
    ///
    /// ```swift
    /// let manager = try Manager(address: .tcp(host: "0.0.0.0", port: 7000), authenticationKey: key)
    /// try manager.names.set(try manager.list(of: String.self), forName: "jobs")
    /// // elsewhere
    /// let manager = try Manager.connect(to: .tcp(host: "indexer", port: 7000), authenticationKey: key)
    /// let jobs = try manager.names.get("jobs", as: ManagedList<String>.self)
    /// ```
    ///
    /// Both ends prove to each other that they have the key, without sending it, and that they run the same build of the program: what travels are functions. Who has the key can have any function called. What is
    /// sent afterwards is neither encrypted nor signed: over a network that others can read, use a tunnel.
    ///
    /// Blocks for the time of a child's start.
    ///
    /// - Parameters:
    ///   - address: Where to be found; port 0 for any that is free, see ``address``.
    ///   - authenticationKey: What those who connect have to have as well.
    ///   - restart: What happens when its process ends without having been asked to.
    /// - Throws: `SystemError`, EADDRINUSE for an address that is taken; `ConnectionError`: `invalidAddress`, `authenticationUnavailable`; `ProcessError` when no process could be started.
    public convenience init(
        address: Address,
        authenticationKey: AuthenticationKey,
        restart: Restart = .never
    ) throws {
        try self.init(restart, listener: Listener(address: address, authenticationKey: authenticationKey))
    }

    /// The number of the value that every manager has from the start.
    static let namesNumber: UInt64 = 1

    /// Values by name, for all who use the manager: who connects to it finds the handles here that others have put in. It lives as long as the manager's process; after a restart it is empty.
    public var names: Namespace { Namespace(Managed(client: client, number: Self.namesNumber)) }

    // MARK: - Connecting

    /// Connects to a manager with an address; the thread is blocked until the connection stands.
    ///
    /// The process can do with it what the one can that made it, except shut it down: host values, call functions on them, put handles into ``names`` and send them to its own children. On the same machine, by a Unix
    /// socket and for the same user, it shares memory with the manager as a child does. Otherwise calls go over the connection, and so do handles, as parts of values; other handles of this
    /// package cannot. A handle that such a process sends to another on its machine is kept alive by the sender until it is used there.
    ///
    /// Its handles are given up when it ends or the connection breaks. Calls under way throw ``ManagerLost`` then; the next call connects again, and finds the values that still exist.
    ///
    /// - Parameters:
    ///   - address: Where the manager is.
    ///   - authenticationKey: The manager's key.
    ///   - timeout: The longest time to wait, now and whenever a connection has to be made again: nil for ever.
    /// - Throws: ``ManagerError`` (`otherBuild`) when it runs another build of the program; ``ManagerLost`` when its process has ended; `ConnectionError`: `authenticationFailed` when the keys are not the same,
    ///   `handshakeFailed` when something else is at the address; `SystemError` when nobody is there; `TimeoutError`.
    @available(*, noasync)
    public static func connect(
        to address: Address,
        authenticationKey: AuthenticationKey,
        timeout: Duration? = .seconds(30)
    ) throws -> Manager {
        let deadline = Deadline(timeout: timeout)
        let connection = try Connection.connect(to: address, authenticationKey: authenticationKey, timeout: timeout)
        try check(connection, address)
        try connection.send(ManagerVisit.join, timeout: deadline.timeLeft)
        let welcome = try connection.receive(ManagerWelcome.self, timeout: deadline.timeLeft)
        return try join(welcome, connection, address, authenticationKey, timeout)
    }

    /// Connects to a manager with an address; the task is suspended until the connection stands. Otherwise as the blocking form.
    ///
    /// - Throws: As the blocking form; `CancellationError`.
    public static func connect(
        to address: Address,
        authenticationKey: AuthenticationKey,
        timeout: Duration? = .seconds(30)
    ) async throws -> Manager {
        let deadline = Deadline(timeout: timeout)
        let connection = try await Connection.connect(
            to: address,
            authenticationKey: authenticationKey,
            timeout: timeout
        )
        try check(connection, address)
        try await connection.send(ManagerVisit.join, timeout: deadline.timeLeft)
        let welcome = try await connection.receive(ManagerWelcome.self, timeout: deadline.timeLeft)
        return try join(welcome, connection, address, authenticationKey, timeout)
    }

    /// Opens a connection that has joined, for tests of what comes through it.
    package static func openConnection(to address: Address, authenticationKey: AuthenticationKey) throws -> Connection {
        let connection = try Connection.connect(to: address, authenticationKey: authenticationKey)
        try connection.send(ManagerVisit.join)
        _ = try connection.receive(ManagerWelcome.self)
        return connection
    }

    private static func check(_ connection: Connection, _ address: Address) throws {
        guard connection.isSameProgram else {
            throw ManagerError(
                .otherBuild,
                "the manager at \(address) runs another program or another build of this one: build and install the same executable at both ends"
            )
        }
    }

    private static func join(
        _ welcome: ManagerWelcome,
        _ connection: Connection,
        _ address: Address,
        _ key: AuthenticationKey,
        _ timeout: Duration?
    ) throws -> Manager {
        switch welcome {
        case .home(let home):
            connection.close()
            let client = ManagerClients.client(of: home.identity) {
                ManagerClient(identity: home.identity, route: .local(home.route))
            }
            return Manager(client, at: address)
        case .stay(let identity, let processIdentifier, let deaths):
            let client = ManagerClients.client(of: identity) {
                let route = NetworkRoute(
                    NetworkRoute.Directions(
                        address: address,
                        key: key,
                        timeout: timeout,
                        processIdentifier: processIdentifier
                    )
                )
                let client = ManagerClient(identity: identity, route: .network(route))
                client.adopt(route.channel(connection, identity, deaths))
                return client
            }
            return Manager(client, at: address)
        case .lost(let death): throw death.lost
        case .lives:
            throw ConnectionError(.invalidMessage, "the manager at \(address) gave an answer that makes no sense")
        }
    }
}
