// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

/// The process of a manager, in the process that made it.
final class ManagerOwner: Sendable {
    /// How long each step of an end may take: asking, SIGTERM.
    private static let grace = Duration.seconds(1)
    private static let count = Atomic<Int>(0)

    private let child: ChildProcess
    private let process: LaunchedProcess
    private let madeIn: Int32
    /// What the server ends for.
    private let key: UInt64
    private let wasAsked: AskedMark

    /// Whether the end was asked for.
    private final class AskedMark: Sendable {
        let value = Atomic<Bool>(false)
    }

    /// Starts the process of a manager behind `reception`, which writes its end into `epitaph`.
    init(reception: SharedDescriptor, epitaph: Epitaph) throws {
        // The copy that `.fork` makes of this process would run no task.
        let method = StartMethod.default == .fork ? .forkServer : StartMethod.default
        let number = Self.count.add(1, ordering: .relaxed).newValue  // only has to be unique
        var generator = SystemRandomNumberGenerator()
        key = generator.next()
        let job = ManagerJob(reception: reception, key: key)
        child = ChildProcess(
            .procedure(ManagerServer.run, job),
            "Manager-\(number)",
            true,
            method
        )
        let process = try child.launch(wantsResult: false, until: .never)
        self.process = process
        madeIn = getpid()
        let wasAsked = AskedMark()
        self.wasAsked = wasAsked
        epitaph.begin(processIdentifier: process.processIdentifier)
        process.whenEnded { [unowned process] in
            // Relaxed: asked long before, or not at all.
            let wasAsked = wasAsked.value.load(ordering: .relaxed)
            epitaph.write(process.status ?? .signaled(.kill), process.report, wasAsked: wasAsked)
        }
    }

    /// Whether this process is the one that made the manager, not a copy of it.
    var isHere: Bool { madeIn == getpid() }

    // MARK: - Ending

    /// Asks the manager to end, and sees to it that it does, without waiting.
    func askToEnd(_ channel: ClientChannel?) {
        ask(channel)
        guard !process.noteExitIfGone(), let reactor = try? Runtime.shared().reactor else { return }
        let process = process
        _ = reactor.waitUntil(Deadline(timeout: Self.grace)) { _ in
            // The second step is the last here: nobody is left to care how it ends.
            if !process.ended.hasHappened { try? process.signal(SIGKILL) }
        }
    }

    /// Ends the manager; the thread is blocked until it has ended.
    func end(_ channel: ClientChannel?) throws {
        ask(channel)
        for signal in [SIGTERM, SIGKILL] {
            if try process.waitForEnd(until: Deadline(timeout: Self.grace)) { return }
            try process.signal(signal)
        }
        _ = try process.waitForEnd(until: .never)
    }

    /// Ends the manager; the task is suspended until it has ended.
    func end(_ channel: ClientChannel?) async throws {
        let reactor = try Runtime.shared().reactor
        ask(channel)
        for signal in [SIGTERM, SIGKILL] {
            if try await process.ended.wait(until: Deadline(timeout: Self.grace), on: reactor) { return }
            try process.signal(signal)
        }
        _ = try await process.ended.wait(until: .never, on: reactor)
    }

    private func ask(_ channel: ClientChannel?) {
        wasAsked.value.store(true, ordering: .relaxed)  // ordered by the message
        // A manager that cannot be asked is ended by the next step.
        do { try channel?.tell(.shutDown, key) } catch { try? process.signal(SIGTERM) }
        if channel == nil { try? process.signal(SIGTERM) }
    }
}
