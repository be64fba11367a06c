// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding
internal import Synchronization

/// One fork server process: its control socket, and the children it made. `ForkServerLoop` tells the messages.
final class ForkServerConnection: Sendable {
    /// What happens to a server.
    enum Event: Sendable {
        /// It takes orders.
        case ready
        /// One of its children has ended.
        case childEnded
        /// It has ended; with a reason when another would end in the same way.
        case ended(reason: String?)
    }

    /// Which of the program's servers it is.
    let generation: Int
    private let process: ServerProcess
    private let reactor: Reactor
    private let handler: @Sendable (Event, ForkServerConnection) -> Void

    private struct State {
        var orders = OrderBook<LaunchedProcess>(capacity: OrderPage.capacity)
        var watches: [Reactor.Token] = []
        var failure: String?
        var isEnded = false
    }

    private let state = PlainMutex(State())
    private let unused = Atomic<Bool>(false)

    /// Creates the connection to a process that is to be told to serve.
    init(
        _ process: ServerProcess,
        generation: Int,
        reactor: Reactor,
        _ handler: @escaping @Sendable (Event, ForkServerConnection) -> Void
    ) {
        self.process = process
        self.generation = generation
        self.reactor = reactor
        self.handler = handler
    }

    /// Its pid.
    var processIdentifier: Int32 { process.processIdentifier }
    /// With whose rights it runs.
    var credentials: Credentials { process.credentials }
    /// What it and its children share with this process.
    var page: OrderPage { process.page }

    /// Tells the new process to serve, and starts to listen to it.
    func begin(_ preloads: [[UInt8]]) throws {
        // The server keeps its connection alive through the watches until its end is noted.
        let messages = try reactor.watch(process.control.socket.number) { _ in self.receive() }
        let watches: [Reactor.Token]
        do {
            watches = [messages, try reactor.watch(process.pidfd.number) { _ in self.noteEnd() }]
        } catch {
            // Nobody would hear of its end, so it must not live.
            reactor.endWatch(messages)
            process.end()
            throw error
        }
        let isLate = state.withLock { state in
            if !state.isEnded { state.watches = watches }
            return state.isEnded
        }
        if isLate { for watch in watches { reactor.endWatch(watch) } }
        var writer = WireWriter()
        writer.write(Build.identity)
        writer.writeVarint(UInt64(preloads.count))
        for function in preloads { function.withUnsafeBytes { writer.writeLengthPrefixedBytes($0) } }
        do {
            try writer.withUnsafeBytes { bytes throws(SystemError) in
                try process.control.send(.serve, bytes, descriptors: [process.pageMemory.number])
            }
        } catch {
            // It would wait for that as long as this program lives. The watch notes its end.
            _ = mp_pidfd_send_signal(process.pidfd.number, SIGKILL)
            throw error
        }
    }

    /// Whether it was ended because nobody wanted a child of it.
    var isUnused: Bool { unused.load(ordering: .relaxed) }  // the end that follows from it comes through the kernel

    /// Ends it, which nobody has asked for a child.
    func endUnused() {
        unused.store(true, ordering: .relaxed)
        _ = mp_pidfd_send_signal(process.pidfd.number, SIGKILL)
    }

    // MARK: - Orders

    /// Orders a child.
    ///
    /// - Parameters:
    ///   - isAwaited: Whether somebody waits for it; otherwise it is forked in a quiet moment.
    ///   - wait: Whether to wait for room in the server's socket.
    /// - Returns: The child to be; nil when the server is gone.
    /// - Throws: `SystemError` when descriptors are short; with EAGAIN when hundreds of orders lie in the server's socket.
    func order(isAwaited: Bool, wait: Bool = false) throws -> OrderedChild? {
        let pair = try Link.pair()
        guard let slot = state.withLock({ $0.isEnded ? nil : $0.orders.take() }) else { return nil }
        page[slot] = .endsWithProgram
        do {
            let order = (UInt32(slot), UInt32(isAwaited ? 1 : 0))
            try withUnsafeBytes(of: order) { bytes throws(SystemError) in
                // Not waiting: who orders may be a thread that must not block, and a server that has hundreds of orders to read answers none.
                try process.control.send(.order, bytes, descriptors: [pair.there.socket.number], wait: wait)
            }
        } catch {
            state.withLock { $0.orders.takeBack(slot) }
            if error.isClosedLink { return nil }
            throw error
        }
        return OrderedChild(pair.here, slot: slot, of: self)
    }

    /// Tells the server that somebody waits for a spare that it may not have forked yet.
    func hurry(_ slot: Int) {
        // A server that is gone needs no hurrying: the link of the child tells.
        withUnsafeBytes(of: UInt32(slot)) { try? process.control.send(.hurry, $0, wait: false) }
    }

    /// Has the server kill the child of an order.
    func kill(_ slot: Int) {
        withUnsafeBytes(of: UInt32(slot)) { try? process.control.send(.kill, $0, wait: false) }
    }

    /// Notes that nobody decides about the child of an order any more. One of which nobody has heard is not to begin.
    func letGo(_ slot: Int) {
        state.withLock { state in
            // Under the lock: as soon as the server tells its end, the slot is somebody else's.
            if state.orders.letGo(slot) { page[slot] = .unwanted }
        }
    }

    /// Notes the process that came of an order; its end is noted when the server tells it.
    func register(_ process: LaunchedProcess, slot: Int) {
        let (status, isEnded) = state.withLock { state -> (ExitStatus?, Bool) in
            state.isEnded ? (nil, true) : (state.orders.register(process, slot), false)
        }
        if let status { process.noteEnd(status) }
        if isEnded { noteOrphan(process) }
    }

    // MARK: - On the reactor's thread

    private func receive() {
        while true {
            switch try? process.control.receive(wait: false) {
            case .message(let message): accept(message)
            case .wouldBlock: return
            case .unreceivable, .endOfFile, nil:
                // It has ended, or talks nonsense; in either case it is of no use. Its end is noted when the pidfd tells.
                let watch = state.withLock { state in state.watches.isEmpty ? nil : state.watches.removeFirst() }
                if let watch { reactor.endWatch(watch) }
                _ = mp_pidfd_send_signal(process.pidfd.number, SIGKILL)
                return
            }
        }
    }

    private func accept(_ message: Message) {
        message.withReader { reader in
            switch message.kind {
            case .ready: handler(.ready, self)
            case .exited:
                guard let slot = try? reader.read(UInt32.self), let status = try? reader.read(Int32.self) else {
                    return
                }
                noteExit(Int(slot), ExitStatus(waitStatus: status))
                handler(.childEnded, self)
            case .failed:
                let reason = (try? reader.readString()) ?? "for unknown reasons"
                state.withLock { $0.failure = reason }
            default: break
            }
        }
    }

    private func noteExit(_ slot: Int, _ status: ExitStatus) {
        state.withLock { $0.orders.ended(slot, status) }?.noteEnd(status)
    }

    private func noteEnd() {
        // What it had still said comes first.
        while case .message(let message)? = try? process.control.receive(wait: false) { accept(message) }
        _ = ChildWait.reap(process.pidfd.number, waits: true)
        let (watches, orphans, failure) = state.withLock { state in
            state.isEnded = true
            defer { state.watches = [] }
            return (state.watches, state.orders.removeAll(), state.failure)
        }
        for watch in watches { reactor.endWatch(watch) }
        for process in orphans { noteOrphan(process) }
        handler(.ended(reason: failure), self)
    }

    /// A child whose server has ended is ended by the kernel; how, there is nobody left to tell.
    private func noteOrphan(_ process: LaunchedProcess) {
        do {
            _ = try reactor.waitOnce(process.pidfd.number, until: .never) { _ in process.noteEnd(nil) }
        } catch {
            // No descriptor is left to wait with. It is being killed: the wait is short.
            _ = try? Polling.waitReadable([process.pidfd.number], until: .never)
            process.noteEnd(nil)
        }
    }
}
