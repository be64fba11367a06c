// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

/// Waits for processes, of this machine or of others, that connect to it.
///
/// ```swift
/// let listener = try Listener(address: .tcp(host: "0.0.0.0", port: 7000), authenticationKey: key)
/// while true {
///     let connection = try await listener.accept()
///     Task { try await connection.send(try await connection.receive(Int.self) + 1) }
/// }
/// // elsewhere
/// let connection = try await Connection.connect(to: .tcp(host: "indexer", port: 7000), authenticationKey: key)
/// ```
///
/// Peers are let in and prove their keys from the start, side by side, whether or not somebody accepts at the moment. One that says nothing, or something else, is turned away after the handshake's
/// time and holds up nobody. Up to 128 connections wait to be accepted.
///
/// A listener belongs to the process that made it. It can be waited for with `Connection.wait(for:timeout:)`.
public final class Listener: Sendable {
    /// Where it listens: with the port that was found where 0 was asked for.
    public let address: Address

    let acceptor: Acceptor
    private let file: SocketFile?
    private let last = PlainMutex<Address?>(nil)

    /// Starts listening.
    ///
    /// - Parameters:
    ///   - address: Where; nil for an abstract Unix socket with a name that nobody else has.
    ///   - authenticationKey: What connecting processes have to have as well; nil lets everybody in who can reach the address.
    ///   - maximumMessageSize: The largest message to receive, in bytes; the other ends cannot send larger ones.
    ///   - handshakeTimeout: The time that a peer has to prove its key.
    /// - Throws: `SystemError`, EADDRINUSE for an address that is taken; `ConnectionError`: `invalidAddress`, `authenticationUnavailable`.
    public init(
        address: Address? = nil,
        authenticationKey: AuthenticationKey? = nil,
        maximumMessageSize: Int = Connection.defaultMaximumMessageSize,
        handshakeTimeout: Duration = .seconds(10)
    ) throws {
        if authenticationKey != nil { try MessageAuthentication.requireAvailable() }
        let wanted = address ?? Self.freeAddress()
        guard let place = try SocketAddress.resolve(wanted, isToListen: true).first else {
            throw ConnectionError(.invalidAddress, "nothing was found at \(wanted)")
        }
        let socket = try StreamSocket.listen(at: place, wanted, backlog: 128)
        self.address = wanted.port == nil ? wanted : StreamSocket.ownAddress(of: socket.number)?.address ?? wanted
        file = wanted.path.flatMap { SocketFile($0) }
        acceptor = try Acceptor(
            socket,
            isAbstract: wanted.isAbstract,
            Handshake.Wishes(key: authenticationKey, messageLimit: maximumMessageSize),
            handshakeTimeout: handshakeTimeout
        )
        try acceptor.begin()
    }

    deinit {
        close()
    }

    private static func freeAddress() -> Address {
        let digits = RandomBytes.make(16).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        return .abstract(name: "multiprocessing-\(digits)")
    }

    /// Where the connection came from that was accepted last; nil before the first. Unix sockets that connect have no address as a rule: an empty path.
    public var lastAccepted: Address? { last.withLock { $0 } }

    /// Accepts a connection; the thread is blocked until there is one.
    ///
    /// - Parameter timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Throws: `ConnectionError`: `authenticationFailed` when somebody came with another key or without one, after which the listener goes on as before; `closed`. `TimeoutError`.
    @available(*, noasync)
    public func accept(timeout: Duration? = nil) throws -> Connection {
        let deadline = Deadline(timeout: timeout)
        while true {
            let notice = Notice()
            if let connection = try take(notice) { return connection }
            defer { acceptor.remove(notice) }
            guard notice.wait(until: deadline) else { throw timedOut(timeout) }
        }
    }

    /// Accepts a connection; the task is suspended until there is one.
    ///
    /// - Parameter timeout: The longest time to wait: nil for ever, zero or less not at all.
    /// - Throws: As the blocking `accept`; `CancellationError`.
    public func accept(timeout: Duration? = nil) async throws -> Connection {
        try Task.checkCancellation()
        let deadline = Deadline(timeout: timeout)
        let reactor = try Runtime.shared().reactor
        while true {
            let notice = Notice()
            if let connection = try take(notice) { return connection }
            defer { acceptor.remove(notice) }
            guard try await notice.wait(until: deadline, on: reactor) else { throw timedOut(timeout) }
        }
    }

    /// The connections that come, one after the other, until the listener is closed. Who comes with a wrong key is turned away without ending the sequence; the log tells.
    public var connections: Connections { Connections(listener: self) }

    /// Stops listening. Waits for connections throw `ConnectionError` (`closed`), peers that nobody has accepted see the end of file, and the file of a Unix socket is removed. Connections that were
    /// accepted go on.
    public func close() {
        if acceptor.isOpen { file?.remove() }
        acceptor.close()
    }

    /// Takes a connection that stands; if there is none, `notice` is posted when that may have changed.
    private func take(_ notice: Notice) throws -> Connection? {
        acceptor.add(notice)
        guard acceptor.isOpen else {
            acceptor.remove(notice)
            throw ConnectionError(.closed, "this listener was closed, or belongs to another process")
        }
        guard let outcome = acceptor.take() else { return nil }
        acceptor.remove(notice)
        let accepted = try outcome.get()
        last.withLock { $0 = accepted.address }
        return Connection(accepted.link)
    }

    private func timedOut(_ timeout: Duration?) -> TimeoutError {
        TimeoutError(operation: "accepting a connection", timeout: timeout ?? .zero)
    }
}

extension Listener {
    /// The connections that come to a listener.
    public struct Connections: AsyncSequence, Sendable {
        let listener: Listener

        /// Accepts one connection after the other.
        public struct AsyncIterator: AsyncIteratorProtocol {
            let listener: Listener

            /// Waits for the next connection; nil when the listener is closed.
            ///
            /// - Throws: `CancellationError`.
            public mutating func next() async throws -> Connection? {
                while true {
                    do {
                        return try await listener.accept()
                    } catch let error as ConnectionError {
                        if error.code == .closed { return nil }
                    }
                }
            }
        }

        /// Begins to accept.
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(listener: listener) }
    }
}

/// The file of a Unix socket, to be removed by whoever made it.
private struct SocketFile: Sendable {
    private let path: String
    private let device: dev_t
    private let inode: ino_t

    /// Remembers which file is at `path` now.
    init?(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        (self.path, device, inode) = (path, status.st_dev, status.st_ino)
    }

    /// Removes the file, unless another one is in its place.
    func remove() {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_dev == device, status.st_ino == inode else { return }
        unlink(path)
    }
}

extension Address {
    /// Whether it is an abstract name.
    var isAbstract: Bool {
        if case .abstract = value { true } else { false }
    }
}
