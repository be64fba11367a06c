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
        /// It made a child.
        case spare(LaunchedProcess)
        /// It could not make one.
        case forkFailed(String)
        /// It has ended; with a reason when another would end in the same way.
        case ended(reason: String?)
    }

    /// Which of the program's servers it is.
    let generation: Int
    /// Its pid.
    let processIdentifier: Int32
    /// With whose rights it runs.
    let credentials = Credentials.current
    private let control: Link
    private let pidfd: OwnedDescriptor
    private let reactor: Reactor
    private let handler: @Sendable (Event, ForkServerConnection) -> Void

    private struct State {
        var children: [Int32: LaunchedProcess] = [:]
        var watches: [Reactor.Token] = []
        var failure: String?
        var isEnded = false
    }

    private let state = PlainMutex(State())

    /// Starts a server process.
    init(generation: Int, reactor: Reactor, _ handler: @escaping @Sendable (Event, ForkServerConnection) -> Void) throws
    {
        self.generation = generation
        self.reactor = reactor
        self.handler = handler
        let pair = try Link.pair()
        processIdentifier = try ProgramImage.start(pair.there.socket.number)
        control = pair.here
        ForkLock.add(control.socket.number)
        // Our own child, not reaped yet: the pid is its own.
        pidfd = try OwnedDescriptor(checking: mp_pidfd_open(processIdentifier), "opening a pidfd of the fork server")
    }

    deinit {
        ForkLock.remove(control.socket.number)
    }

    /// Tells the new process to serve, and starts to listen to it.
    func begin(_ preloads: [[UInt8]]) throws {
        // The server keeps its connection alive through the watches until its end is noted.
        let watches = [
            try reactor.watch(control.socket.number) { _ in self.receive() },
            try reactor.watch(pidfd.number) { _ in self.noteEnd() },
        ]
        let isLate = state.withLock { state in
            if !state.isEnded { state.watches = watches }
            return state.isEnded
        }
        if isLate { for watch in watches { reactor.endWatch(watch) } }
        var writer = WireWriter()
        writer.write(Build.identity)
        writer.writeVarint(UInt64(preloads.count))
        for function in preloads { function.withUnsafeBytes { writer.writeLengthPrefixedBytes($0) } }
        try writer.withUnsafeBytes { bytes throws(SystemError) in try control.send(.serve, bytes) }
    }

    /// Orders spares. A server that is gone gets none; that is noticed by its watch, which tells who waits.
    func order(_ order: ForkServerStateMachine<ForkServerClient.Spare, ForkServerClient.Waiter>.Order) {
        guard !order.isEmpty else { return }
        let message = (UInt32(clamping: order.wanted), UInt32(clamping: order.ready))
        withUnsafeBytes(of: message) { try? control.send(.order, $0) }
    }

    // MARK: - On the reactor's thread

    private func receive() {
        while true {
            let reception: Link.Reception?
            do {
                reception = try control.receive(wait: false)
            } catch let error as SystemError where error.code == EMSGSIZE {
                // No descriptor was left for those of a spare; they are closed, and the spare ends by that. The server is as well as before.
                handler(.forkFailed("this process has too many open files"), self)
                continue
            } catch {
                reception = nil
            }
            switch reception {
            case .message(let message): accept(message)
            case .wouldBlock: return
            case .endOfFile, nil:
                // It has ended, or talks nonsense; in either case it is of no use. Its end is noted when the pidfd tells.
                let watch = state.withLock { state in state.watches.isEmpty ? nil : state.watches.removeFirst() }
                if let watch { reactor.endWatch(watch) }
                _ = mp_pidfd_send_signal(pidfd.number, SIGKILL)
                return
            }
        }
    }

    private func accept(_ message: Message) {
        message.withReader { reader in
            switch message.kind {
            case .spare:
                guard let pid = try? reader.read(Int32.self), let link = message.descriptors.take(0),
                    let pidfd = message.descriptors.take(1)
                else {
                    return handler(.forkFailed("a child came without its descriptors"), self)
                }
                let process = LaunchedProcess(
                    processIdentifier: pid,
                    isOwnChild: false,
                    pidfd: OwnedDescriptor(owning: pidfd),
                    link: Link(OwnedDescriptor(owning: link))
                )
                state.withLock { $0.children[pid] = process }
                handler(.spare(process), self)
            case .exited:
                guard let pid = try? reader.read(Int32.self), let status = try? reader.read(Int32.self) else { return }
                state.withLock { $0.children.removeValue(forKey: pid) }?.noteEnd(ExitStatus(waitStatus: status))
            case .failed:
                guard let isForGood = try? reader.read(UInt8.self), let reason = try? reader.readString() else {
                    return
                }
                if isForGood == 1 { state.withLock { $0.failure = reason } } else { handler(.forkFailed(reason), self) }
            default: break
            }
        }
    }

    private func noteEnd() {
        // What it had still said comes first.
        while case .message(let message)? = try? control.receive(wait: false) { accept(message) }
        var status: Int32 = 0
        _ = mp_pidfd_wait(pidfd.number, Int32(WEXITED), &status)
        let (watches, children, failure) = state.withLock { state in
            state.isEnded = true
            defer {
                state.watches = []
                state.children = [:]
            }
            return (state.watches, state.children, state.failure)
        }
        for watch in watches { reactor.endWatch(watch) }
        // The kernel ends them with their server; how, there is nobody left to tell.
        for child in children.values {
            do {
                _ = try reactor.waitOnce(child.pidfd.number, until: .never) { _ in child.noteEnd(nil) }
            } catch {
                _ = Polling.isReadable(child.pidfd.number)
                child.noteEnd(nil)
            }
        }
        handler(.ended(reason: failure), self)
    }
}

/// The program's own executable, to be started anew.
enum ProgramImage {
    /// Starts it with this program's arguments, marked to talk through `socket`. Returns its pid.
    static func start(_ socket: Int32) throws -> Int32 {
        guard mp_hook_is_available() || Multiprocessing.isBootstrapped else {
            throw ProcessError(
                .startMethodUnsupported,
                "on this platform a program must call Multiprocessing.bootstrap() as the first line of its main function before it can start processes"
            )
        }
        guard !mp_is_privileged() else {
            throw ProcessError(
                .startMethodUnsupported,
                "a program with more rights than its user (set-user-id, file capabilities) cannot start itself anew; use .fork"
            )
        }
        var pid: pid_t = 0
        let error = mp_spawn_self(CommandLine.unsafeArgv, socket, &pid)
        guard error == 0 else { throw SystemError(code: error, operation: "starting this program's executable anew") }
        return pid
    }
}

/// With whose rights a process runs.
struct Credentials: Equatable, Sendable {
    let user: uid_t
    let effectiveUser: uid_t
    let group: gid_t
    let effectiveGroup: gid_t

    /// Those of this process.
    static var current: Credentials {
        Credentials(user: getuid(), effectiveUser: geteuid(), group: getgid(), effectiveGroup: getegid())
    }
}
