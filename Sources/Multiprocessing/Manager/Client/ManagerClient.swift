// SPDX-License-Identifier: Apache-2.0
//
// A manager, as a process sees it that has a handle of one of its values: the way there, and the channel that was made at the first need. All handles of a manager in a process share this, and so one
// channel.

internal import MultiprocessingPrimitives
internal import Synchronization

/// A manager that this process has handles of.
final class ManagerClient: Sendable {
    /// How to reach it.
    enum Route: Sendable {
        case local(LocalRoute)
        case network(NetworkRoute)
    }

    let identity: ManagerIdentity
    let route: Route
    /// In the process that made the manager.
    let owner: ManagerOwner?
    /// A forked copy of this process makes itself a channel of its own.
    private let slot = ForkLocal { Slot() }

    /// The channel of one process.
    private final class Slot: Sendable {
        let channel = Mutex<ClientChannel?>(nil)
        /// The attempt to make one that is under way, which over a network takes its time; nobody who only lets go of a handle waits for that.
        let attempt = Mutex<ChannelAttempt?>(nil)
        /// Held while a handle is counted, so that threads which come to use it at the same time do not all have it counted.
        let counting = Mutex<Void>(())
    }

    /// Creates the client of a manager.
    init(identity: ManagerIdentity, route: Route, owner: ManagerOwner? = nil) {
        self.identity = identity
        self.route = route
        self.owner = owner
    }

    deinit {
        ManagerClients.forget(identity)
        if let owner, owner.isHere { owner.askToEnd() }
        slot.value.channel.withLock { $0 }?.close()
    }

    /// The manager's pid.
    var processIdentifier: Int32 {
        switch route {
        case .local(let route): route.epitaph.processIdentifier
        case .network(let route): route.directions.processIdentifier
        }
    }

    /// How the manager ended, if it has and does not come back.
    var lost: ManagerLost? {
        switch route {
        case .local(let route): route.lost
        case .network(let route): route.lost
        }
    }

    /// Whether a channel takes the time of a network to make.
    var isRemote: Bool {
        if case .network = route { true } else { false }
    }

    // MARK: - The channel

    /// This process's channel, made at first use, and again when it has ended and the manager has not.
    ///
    /// Blocks while it is made.
    ///
    /// - Throws: `ManagerLost`; `SystemError` when there is no memory or descriptor for a channel.
    func channel() throws -> ClientChannel {
        let slot = slot.value
        if let channel = usableChannel(slot) { return channel }
        let (attempt, isMine) = attempt(slot)
        if isMine {
            carryOut(attempt, slot)
        } else {
            _ = attempt.isOver.wait(until: .never)
        }
        return try attempt.channel()
    }

    /// The attempt that is under way, or one that the caller has to carry out.
    private func attempt(_ slot: Slot) -> (ChannelAttempt, isMine: Bool) {
        slot.attempt.withLock { attempt in
            if let attempt { return (attempt, false) }
            let mine = ChannelAttempt()
            attempt = mine
            return (mine, true)
        }
    }

    /// Makes a channel, for all who wait for one.
    private func carryOut(_ attempt: ChannelAttempt, _ slot: Slot) {
        let result = Result {
            // Another attempt may have been made since the caller looked.
            if let channel = usableChannel(slot) { return channel }
            let made =
                switch route {
                case .local(let route): try route.openChannel(identity)
                case .network(let route): try route.openChannel(identity)
                }
            slot.channel.withLock { $0 = made }
            return made
        }
        end(attempt, result, slot)
    }

    /// Tells all who wait for an attempt how it ended.
    private func end(_ attempt: ChannelAttempt, _ result: Result<ClientChannel, any Error>, _ slot: Slot) {
        // First: who asks from now on, such as one who has just been told, gets an attempt that begins after that, and not what came of this one.
        slot.attempt.withLock { $0 = nil }
        attempt.end(result)
    }

    /// This process's channel; the task is suspended while it is made. Otherwise as the blocking form.
    func channelForTask() async throws -> ClientChannel {
        let slot = slot.value
        if let channel = usableChannel(slot) { return channel }
        let reactor = try Runtime.shared().reactor
        let (attempt, isMine) = attempt(slot)
        if isMine {
            // Not in the caller's name: it may be cancelled, and the others wait for it as well.
            do {
                try Thread.start(name: "mp-connect") { [self] in carryOut(attempt, slot) }
            } catch {
                end(attempt, .failure(error), slot)
            }
        }
        _ = try await attempt.isOver.wait(until: .never, on: reactor)
        return try attempt.channel()
    }

    /// This process's channel, if there is one that can be used.
    var openChannel: ClientChannel? { usableChannel(slot.value) }

    /// Takes a channel that was made already, before there was any.
    func adopt(_ channel: ClientChannel) {
        slot.value.channel.withLock { if $0 == nil { $0 = channel } }
    }

    /// The channel, unless there is none or it has ended and another may take its place.
    private func usableChannel(_ slot: Slot) -> ClientChannel? {
        guard let channel = slot.channel.withLock({ $0 }) else { return nil }
        return channel.hasEnded && lost == nil ? nil : channel
    }

    /// Counts a handle by `body`, as long as nobody else of this process counts one.
    func withCountingLock(_ body: () throws -> Void) rethrows {
        try slot.value.counting.withLock { _ in try body() }
    }

    // MARK: - Requests

    /// Makes a request by `body`; once more when nothing of it was sent, because the manager had gone before: another process may have taken its place. Blocks as `body` does.
    @inline(__always)
    func request<R>(_ body: () throws -> R) throws -> R {
        do { return try body() } catch let unsent as UnsentRequest { return try again(unsent, body) }
    }

    @inline(never)
    private func again<R>(_ unsent: UnsentRequest, _ body: () throws -> R) throws -> R {
        try unsent.checkMayRepeat()
        // The channel tells how the process ended to which it led: not that those which followed ended as well.
        do { return try body() } catch let unsent as UnsentRequest { throw lost ?? unsent.channel.lost }
    }

    /// Why a request could not be sent a second time; the task is suspended while that is found out. As in `again`.
    func whyUnsent(_ unsent: UnsentRequest) async throws -> ManagerLost {
        if let lost { return lost }
        return try await unsent.channel.lostForTask()
    }

    /// Says that a handle is gone that was counted in the channel with that number.
    func release(_ value: UInt64, countedIn serial: UInt64) {
        guard let channel = slot.value.channel.withLock({ $0 }), channel.serial == serial else { return }
        channel.release(value)
    }
}

/// An attempt to make a channel, which all wait for that need one meanwhile: where a manager does not answer, each would otherwise find that out by itself, one after the other.
private final class ChannelAttempt: Sendable {
    private let outcome = Mutex<Result<ClientChannel, any Error>?>(nil)
    /// Happens when the outcome is there.
    let isOver = Notice()

    /// Notes the outcome.
    func end(_ result: Result<ClientChannel, any Error>) {
        outcome.withLock { $0 = result }
        isOver.post()
    }

    /// The outcome, once it is there.
    func channel() throws -> ClientChannel {
        guard let outcome = outcome.withLock({ $0 }) else { preconditionFailure("an attempt that is not over") }
        return try outcome.get()
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
        let other = table.value.clients.withLock { clients -> ManagerClient? in
            let other = clients[identity]?.client
            if other == nil { clients[identity] = nil }
            return other
        }
        // Out of the lock, and let go of after it: this may be the last reference by now, and its end comes here again.
        withExtendedLifetime(other) {}
    }

    /// The client of a manager, if this process has one.
    static func existing(_ identity: ManagerIdentity) -> ManagerClient? {
        table.value.clients.withLock { $0[identity]?.client }
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
