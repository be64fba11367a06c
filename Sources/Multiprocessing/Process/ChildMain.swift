// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding
internal import Synchronization

/// What a child does from its job to its end.
enum ChildMain {
    /// The link to the parent, for the last words at exit; -1 in a process that has none.
    private static let exitLink = Atomic<Int32>(-1)
    /// The process that the link belongs to: a copy made by `fork` in user code must not speak for it.
    private static let exitProcess = Atomic<Int32>(0)

    // MARK: - Starting

    /// Carries out the job in `message` and ends the process.
    ///
    /// - Parameter lifeline: Whether a daemon has to tie itself to its parent's life; otherwise the server does.
    static func run(_ message: Message, _ link: consuming Link, lifeline: Bool) -> Never {
        let link = OpenLink(link)
        do {
            let (header, call) = try takeOn(message, link.number, lifeline: lifeline)
            perform(call, Speaker(link: link, wantsResult: header.wantsResult, name: header.name))
        } catch {
            // Nobody can be told through the link what the job was.
            StandardError.write("multiprocessing: a child could not be set up: \(error)\n")
            _exit(1)
        }
    }

    /// Takes on what a message says of this process, and returns what it is to do.
    ///
    /// - Parameter link: The socket to the parent.
    static func takeOn(
        _ message: Message,
        _ link: Int32,
        lifeline: Bool
    ) throws -> (JobHeader, Result<BoundCall, any Error>) {
        try message.withReader { reader in
            var job = WireReader(try reader.readBytes(Int(clamping: try reader.read(UInt64.self))))
            let parent = try Surroundings.adopt(from: &reader, message.descriptors)
            let (header, identity) = try JobHeader.read(from: &job, parentDescriptor: parent)
            ProcessIdentity.become(identity)
            header.name.withCString { _ = mp_set_thread_name($0) }
            prepareEnd(link)
            if lifeline, header.isDaemon { try Lifeline.arm(from: message.descriptors, index: try job.read()) }
            // Most jobs carry no handle, and a dictionary is a long way round for a short child.
            let userInfo = message.descriptors.isEmpty ? [:] : message.userInfo
            return (header, Result { try readCall(from: &job, userInfo) })
        }
    }

    private static func readCall(
        from reader: inout WireReader,
        _ userInfo: [CodingUserInfoKey: Any]
    ) throws -> BoundCall {
        let function = try ReceivedFunction(from: &reader, userInfo: userInfo)
        let call = try function.bind(argumentsFrom: &reader, userInfo: userInfo)
        guard reader.isAtEnd else { throw FunctionNotPortable.corrupt("bytes are left over") }
        return call
    }

    private static func perform(_ call: Result<BoundCall, any Error>, _ speaker: Speaker) -> Never {
        switch call {
        case .failure(let error): mp_exit(speaker.tell(error))
        case .success(.sync(let body)):
            do { mp_exit(speaker.tell(try body())) } catch { mp_exit(speaker.tell(error)) }
        case .success(.async(let body)): performAsync(body, speaker)
        }
    }

    /// Kept apart so that a synchronous child does not pay for what concurrency needs (metadata that is made at its first mention, a dozen page faults).
    @inline(never)
    private static func performAsync(
        _ body: @escaping @Sendable () async throws -> ResultEncoder?,
        _ speaker: Speaker
    ) -> Never {
        Task.detached {
            do { mp_exit(speaker.tell(try await body())) } catch { mp_exit(speaker.tell(error)) }
        }
        mp_drain_main_queue()
    }

    // MARK: - Ending

    /// Sees to it that the parent learns of a crash and of the exit code.
    ///
    /// - Parameter link: The socket to the parent; -1: it learns nothing.
    static func prepareEnd(_ link: Int32, inCopy isCopy: Bool = false) {
        // Relaxed: written before the only reader, the exit handler, is called.
        exitLink.store(link, ordering: .relaxed)
        exitProcess.store(getpid(), ordering: .relaxed)
        mp_set_crash_socket(link)
        installReporters(inCopy: isCopy)
    }

    /// Installs what speaks at a crash and at exit. A server does so before it forks: its children inherit it.
    ///
    /// - Parameter isCopy: Whether this is a copy of a process with threads; one of them may hold the loader's lock for good.
    static func installReporters(inCopy isCopy: Bool = false) {
        CrashImages.installReporter()
        if !isCopy { ThreadStacks.install() }
        installExitHandler()
    }

    /// Installs what speaks at exit: after all handlers that are registered later.
    static func installExitHandler() {
        _ = hasExitHandler
    }

    private static let hasExitHandler = on_exit({ status, _ in ChildMain.announceExit(status) }, nil) == 0

    /// Tells the parent the exit code, so that it need not hear it from the server.
    ///
    /// Where nothing is left to be done but what only the kernel does with the memory of a process, which takes longer than a short body, the parent is told that it need not wait
    /// for that. In a process that has threads, locks or open files the end itself counts: then they are stopped, free, and closed.
    static func announceExit(_ code: Int32) {
        guard exitProcess.load(ordering: .relaxed) == getpid() else { return }
        sendLastWords(code, on: exitLink.load(ordering: .relaxed))
    }

    /// Says the last words on that link.
    static func sendLastWords(_ code: Int32, on link: Int32) {
        let isOver = mp_is_alone([link, ProcessIdentity.current.parent?.pidfd ?? -1], 2)
        if isOver {
            // What `exit` would do next.
            fflush(nil)
        } else {
            // Whether the last of the output finds a reader belongs to how the process ends.
            mp_flush_standard_output()
        }
        let packet = (
            MessageKind.exiting.rawValue, UInt32(0), UInt64(16), code & 0xff, UInt32(isOver ? 1 : 0), mp_now()
        )
        _ = withUnsafeBytes(of: packet) {
            send(link, $0.baseAddress, 32, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
        }
        // Taking down the memory of a process takes longer than a short body. The parent may wait for this very processor: it goes first.
        if isOver { sched_yield() }
    }
}

/// A child's link, which stays open to the very end of the process: its last words go out after everything else is gone.
final class OpenLink: Sendable {
    fileprivate let link: Link
    /// The socket.
    let number: Int32

    /// Takes over the link and keeps it for good.
    init(_ link: consuming Link) {
        number = link.socket.number
        self.link = link
        _ = Unmanaged.passRetained(self)
    }
}

/// Tells the parent how the body ended.
struct Speaker: Sendable {
    /// Where to.
    let link: OpenLink
    /// Whether somebody waits for the outcome.
    let wantsResult: Bool
    /// The name of this process.
    let name: String

    /// Tells that the body returned. Returns the exit code.
    func tell(_ result: ResultEncoder?) -> Int32 {
        guard wantsResult else { return 0 }
        let descriptors = CarriedDescriptors()
        var writer = WireWriter()
        Outcome.write(result: result, into: &writer, userInfo: [CarriedDescriptors.userInfoKey: descriptors])
        return send(writer, descriptors) ? 0 : 1
    }

    /// Tells that the body threw. Returns the exit code.
    func tell(_ error: any Error) -> Int32 {
        guard wantsResult else {
            StandardError.write("\(name): \(ErrorText.typeName(of: error)): \(error)\n")
            return 1
        }
        var writer = WireWriter()
        Outcome.write(error: error, into: &writer)
        _ = send(writer, CarriedDescriptors())
        return 1
    }

    private func send(_ writer: borrowing WireWriter, _ descriptors: CarriedDescriptors) -> Bool {
        do {
            try writer.withUnsafeBytes { bytes throws(SystemError) in
                try link.link.send(.outcome, bytes, descriptors: descriptors.numbers)
            }
            return true
        } catch {
            // A parent that is gone needs no result.
            if !error.isClosedLink { StandardError.write("\(name): \(error)\n") }
            return false
        }
    }
}

/// The standard error of this process.
enum StandardError {
    /// Writes `text` through the C library's stream, as one piece with other output to it.
    static func write(_ text: String) {
        mp_write_standard_error(text)
    }
}
