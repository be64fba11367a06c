// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// A process that keeps values for others: the values stay there, and what is done with them travels to them.
///
/// ```swift
/// let manager = try Manager()
/// let counts = try manager.host { [String: Int]() }
/// let process = ChildProcess { try counts.withValue { $0["apple", default: 0] += 1 } }
/// ```
///
/// A hosted value may be of any type. ``Managed`` is the handle of one; it can be sent to any process of this program, and the value lives as long as any handle anywhere. For lists,
/// dictionaries, sets and loose names there are handles with the methods one expects: ``ManagedList``, ``ManagedDictionary``, ``ManagedSet``, ``Namespace``.
///
/// The manager ends when it is shut down, when the last handle in the process that made it is gone, or when that process ends. A function that traps in it ends it as well, and every call under way or
/// made later throws ``ManagerLost`` with the cause.
public final class Manager: Sendable {
    let client: ManagerClient

    /// What happens when the process of a manager ends without having been asked to.
    public enum Restart: Sendable {
        /// Every call throws ``ManagerLost`` from then on.
        case never
        /// Another process takes its place, at most `limit` times. The values that the process which made the manager has hosted, and still has handles of, are made anew by the functions that made
        /// them first, in the same order, so that such a function may use values that were made before, and all handles of them, everywhere, stand for these. Calls that were under way throw ``ManagerLost``.
        case withFreshValues(limit: Int = 5)

        /// How often.
        fileprivate var limit: Int { if case .withFreshValues(let limit) = self { max(0, limit) } else { 0 } }
    }

    /// Starts a manager.
    ///
    /// Blocks for the time of a child's start, well under a millisecond with a warm fork server.
    ///
    /// - Parameter restart: What happens when its process ends without having been asked to.
    /// - Throws: `ProcessError` when no process could be started, `SystemError` when memory or descriptors are short.
    public convenience init(restart: Restart = .never) throws {
        try self.init(restart, listener: nil)
    }

    /// Starts a manager, which processes can use that come to `listener`.
    init(_ restart: Restart, listener: Listener?) throws {
        let (door, reception) = try Link.pair().takeSockets()
        let route = LocalRoute(door: door, epitaph: try Epitaph())
        let identity = ManagerIdentity()
        let desk = listener.map { ManagerDesk($0, identity, route) }
        let owner = try ManagerOwner(
            identity,
            reception: reception,
            epitaph: route.epitaph,
            restarts: restart.limit,
            desk: desk
        )
        client = ManagerClient(identity: identity, route: .local(route), owner: owner)
        address = listener?.address
        ManagerClients.add(client)
        try desk?.begin()
    }

    /// Stands for a manager that somebody else made.
    init(_ client: ManagerClient, at address: Address) {
        self.client = client
        self.address = address
    }

    /// Where processes find it that are no relatives: with the port that was found where 0 was asked for. Nil for a manager without an address.
    public let address: Address?

    /// The pid of the manager's process.
    public var processIdentifier: Int32 { client.processIdentifier }

    /// Whether the manager lives, as far as this process knows.
    public var isAlive: Bool { client.lost == nil }

    /// Opens a connection of its own to the manager, for tests of what comes through it.
    package func openConnection() throws -> Connection {
        guard case .local(let route) = client.route else {
            throw ManagerError(.notLocal, "this manager shares no memory with this process")
        }
        return Connection(try route.openLink())
    }

    // MARK: - Hosting

    /// Makes a value in the manager; the thread is blocked until it is made.
    ///
    /// - Parameter make: Called in the manager. The value may be of any type, `Codable` or not.
    /// - Returns: A handle of the value.
    /// - Throws: What `make` throws, as its own type where that is `Codable`, else as ``RemoteError``; ``ManagerLost``; `FunctionNotPortable` when the function cannot be carried.
    @available(*, noasync)
    public func host<Value>(_ make: @escaping @Sendable () throws -> Value) throws -> Managed<Value> {
        try client.host(Value.self, .closure(Mutation.maker(make)), Nothing())
    }

    /// Makes a value in the manager; the task is suspended until it is made. Otherwise as the blocking form.
    public func host<Value>(_ make: @escaping @Sendable () throws -> Value) async throws -> Managed<Value> {
        try await client.host(Value.self, .closure(Mutation.maker(make)), Nothing())
    }

    // MARK: - Ending

    /// Ends the manager, and the values in it; the thread is blocked until its process has ended. A process that does not end when asked gets SIGTERM after five seconds, and SIGKILL after another.
    ///
    /// Every call under way or made later throws ``ManagerLost`` (`shutDown`). Further calls do nothing.
    ///
    /// - Throws: ``ManagerError`` (`notOwner`) in a process that did not make it; `SystemError` when the process cannot be signalled.
    @available(*, noasync)
    public func shutdown() throws {
        try owner().end()
    }

    /// Ends the manager, and the values in it; the task is suspended until its process has ended. Otherwise as the blocking form.
    public func shutdown() async throws {
        try await owner().end()
    }

    private func owner() throws -> ManagerOwner {
        if let owner = client.owner, owner.isHere { return owner }
        throw ManagerError(.notOwner, "a manager is shut down by the process that made it")
    }
}

extension ManagerClient {
    /// Makes a value of `type`.
    func host<Value>(
        _: Value.Type,
        _ function: ManagedFunction,
        _ argument: some Portable
    ) throws -> Managed<Value> {
        let body = Self.body(function, argument)
        return try request {
            let channel = try channel()
            let number = try channel.call(.host, body) { reader, _ in try reader.read(UInt64.self) }
            return Managed(client: self, number: number, channel: channel, maker: try maker(number, body, channel))
        }
    }

    /// Makes a value of `type`; the task is suspended until it is made.
    func host<Value>(
        _: Value.Type,
        _ function: ManagedFunction,
        _ argument: some Portable
    ) async throws -> Managed<Value> {
        let body = Self.body(function, argument)
        var isRepeated = false
        while true {
            do {
                let channel = try await channelForTask()
                let number = try await channel.call(.host, body) { reader, _ in try reader.read(UInt64.self) }
                return Managed(client: self, number: number, channel: channel, maker: try maker(number, body, channel))
            } catch let unsent as UnsentRequest {
                // As `request`.
                if isRepeated { throw try await whyUnsent(unsent) }
                try unsent.checkMayRepeat()
                isRepeated = true
            }
        }
    }

    private typealias Body = @Sendable (inout WireWriter, [CodingUserInfoKey: Any]) throws -> Void

    /// What writes the function and its argument.
    private static func body(_ function: ManagedFunction, _ argument: some Portable) -> Body {
        { writer, userInfo in
            try function.write(.once, into: &writer, userInfo: userInfo)
            try Nothing.encode(argument, into: &writer, userInfo: userInfo)
        }
    }

    /// Notes how a value was made, where it may have to be made again.
    ///
    /// - Throws: `UnsentRequest` when its process has been replaced since by one that does not know the value.
    private func maker(_ number: UInt64, _ body: @escaping Body, _ channel: ClientChannel) throws -> ValueMaker? {
        guard let owner, owner.isHere, owner.mayRestart else { return nil }
        let maker = ValueMaker(number, owner, body)
        guard owner.add(maker) else {
            channel.lookIfIdle()
            throw UnsentRequest(channel: channel)
        }
        return maker
    }
}
