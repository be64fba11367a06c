// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding
internal import Synchronization

/// A handle of a value that lives in a ``Manager``.
///
/// ```swift
/// let counter = try manager.host { WordCounter() }
/// let total = try counter.withValue { $0.add("Hello") }
/// ```
///
/// The function runs in the manager, alone with the value, and its result or error comes back. What it captures travels there as a copy. Calls of one process come to a value in the order they were made;
/// calls of several tasks or threads may be under way at the same time. A function that never returns keeps only its own value busy. One that traps ends the manager: see ``ManagerLost``.
///
/// A handle can be captured by functions that are sent to other processes, be an argument or a result, be put into queues and sent through connections: every copy stands for the same value. The
/// value goes when no process has a handle of it any more, and none is under way; a process that is killed gives up its own.
///
/// A function that waits, in the manager, for a value that in turn waits for it waits for ever.
public final class Managed<Value>: Sendable, Codable {
    let client: ManagerClient
    /// Which of the manager's values it is.
    let number: UInt64
    /// The channel that the manager counts this handle in. In a copy of this process, or after a restart of the manager, it has to be counted anew.
    /// 0: in none yet.
    private let countedIn: Atomic<UInt64>
    /// What stands for it until it is counted.
    private let token: Mutex<SharedDescriptor?>
    /// In the process that hosted the value: how to make it again.
    private let maker: ValueMaker?

    /// Creates the handle of a value, which the manager has counted in `channel` already.
    init(client: ManagerClient, number: UInt64, channel: ClientChannel, maker: ValueMaker? = nil) {
        self.client = client
        self.number = number
        self.maker = maker
        countedIn = Atomic(channel.serial)
        token = Mutex(nil)
    }

    /// Creates the handle of a value, to be counted at its first use. What stands for it until then is let go of after that.
    init(client: ManagerClient, number: UInt64, token: SharedDescriptor? = nil) {
        self.client = client
        self.number = number
        self.token = Mutex(token)
        maker = client.owner.flatMap { $0.isHere ? $0.maker(of: number) : nil }
        countedIn = Atomic(0)
    }

    deinit {
        // Relaxed: nobody else is left.
        client.release(number, countedIn: countedIn.load(ordering: .relaxed))
    }

    /// The channel to the manager, which counts this handle. Blocks while the channel is made or the handle is counted, at the first use.
    func channel() throws -> ClientChannel {
        let channel = try client.channel()
        // Relaxed: who finds another number looks again under the lock.
        if countedIn.load(ordering: .relaxed) != channel.serial { try count(in: channel) }
        return channel
    }

    /// The channel to the manager, which counts this handle; the task is suspended while that takes its time.
    func channelForTask() async throws -> ClientChannel {
        let channel = try await client.channelForTask()
        if countedIn.load(ordering: .relaxed) == channel.serial { return channel }
        return try await BlockingWaiters.run { [self] _ in try self.channel() }
    }

    @inline(never)
    private func count(in channel: ClientChannel) throws {
        // Two threads that had it counted twice would give it back once.
        try client.withCountingLock {
            if countedIn.load(ordering: .relaxed) == channel.serial { return }
            if client.isRemote {
                // Another connection than that of whoever keeps the value until then: only an answer tells that it is counted.
                try channel.call(.adopt) { writer, _ in
                    writer.write(number)
                } _: { _, _ in
                }
            } else {
                try channel.tell(.retain, number, descriptor: token.withLock { $0 })
            }
            countedIn.store(channel.serial, ordering: .relaxed)
            token.withLock { $0 = nil }
        }
    }

    // MARK: - Calls

    /// Calls a function on the value; the thread is blocked until it is answered.
    func call<R>(
        _ function: ManagedFunction,
        _ argument: some Portable,
        _ read: (inout WireReader, [CodingUserInfoKey: Any]) throws -> R
    ) throws -> R {
        let key = function.key
        return try client.request {
            let channel = try channel()
            let reference = key.map { key in channel.functions.withLock { $0.reference(to: key) } } ?? .once
            return try channel.call(.call) { writer, userInfo in
                writer.write(number)
                try function.write(reference, into: &writer, userInfo: userInfo)
                try Nothing.encode(argument, into: &writer, userInfo: userInfo)
            } _: { reader, userInfo in
                if let key, case .remembered = reference { channel.functions.withLock { $0.noteKnown(key) } }
                return try read(&reader, userInfo)
            }
        }
    }

    /// Calls a function on the value; the task is suspended until it is answered.
    ///
    /// - Parameter mayWait: Whether the call may wait in the manager, and is withdrawn there when the task is cancelled: then it is answered all the same.
    func call<R>(
        _ function: ManagedFunction,
        _ argument: some Portable,
        mayWait: Bool = false,
        _ read: (inout WireReader, [CodingUserInfoKey: Any]) throws -> R
    ) async throws -> R {
        if let waiter = try begin(function, argument, mayWait: mayWait) {
            do {
                return try waiter.channel.take(try await waiter.channel.finish(waiter), read)
            } catch is UnsentRequest {
                // The manager was gone before there was room. Found out anew below.
            }
        }
        return try await callWithCare(function, argument, mayWait: mayWait, read)
    }

    /// Begins a call, as most are: on a channel that is open and counts this handle, of a function that the manager knows. Returns nil for others, of which nothing was sent.
    private func begin(_ function: ManagedFunction, _ argument: some Portable, mayWait: Bool) throws -> TaskWaiter? {
        guard let channel = client.openChannel, countedIn.load(ordering: .relaxed) == channel.serial else { return nil }
        let reference = function.key.map { key in channel.functions.withLock { $0.reference(to: key) } } ?? .once
        if case .remembered = reference { return nil }
        do {
            return try channel.begin(.call, in: mayWait ? number : nil) { writer, userInfo in
                writer.write(number)
                try function.write(reference, into: &writer, userInfo: userInfo)
                try Nothing.encode(argument, into: &writer, userInfo: userInfo)
            }
        } catch is UnsentRequest {
            return nil
        }
    }

    /// Calls a function on the value as `call` does, whatever has to be done before.
    private func callWithCare<R>(
        _ function: ManagedFunction,
        _ argument: some Portable,
        mayWait: Bool,
        _ read: (inout WireReader, [CodingUserInfoKey: Any]) throws -> R
    ) async throws -> R {
        let key = function.key
        var isRepeated = false
        while true {
            do {
                let channel = try await channelForTask()
                let reference = key.map { key in channel.functions.withLock { $0.reference(to: key) } } ?? .once
                return try await channel.call(.call, in: mayWait ? number : nil) { writer, userInfo in
                    writer.write(number)
                    try function.write(reference, into: &writer, userInfo: userInfo)
                    try Nothing.encode(argument, into: &writer, userInfo: userInfo)
                } _: { reader, userInfo in
                    if let key, case .remembered = reference { channel.functions.withLock { $0.noteKnown(key) } }
                    return try read(&reader, userInfo)
                }
            } catch let unsent as UnsentRequest {
                // As `ManagerClient.request`.
                if isRepeated { throw try await client.whyUnsent(unsent) }
                try unsent.checkMayRepeat()
                isRepeated = true
            }
        }
    }

    /// Does something of the package's own with the value.
    func perform<Operation: ManagedOperation>(
        _ operation: Operation.Type,
        _ argument: Operation.Argument
    ) throws -> Operation.Result where Operation.Value == Value {
        try call(.operation(operation), argument) {
            try Nothing.decode(Operation.Result.self, from: &$0, userInfo: $1)
        }
    }

    /// Does something of the package's own with the value.
    func perform<Operation: ManagedOperation>(
        _ operation: Operation.Type,
        _ argument: Operation.Argument
    ) async throws -> Operation.Result where Operation.Value == Value {
        try await call(.operation(operation), argument) {
            try Nothing.decode(Operation.Result.self, from: &$0, userInfo: $1)
        }
    }
}
