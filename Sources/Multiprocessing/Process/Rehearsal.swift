// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// Goes once through everything that a child does with a job, in the server, before it forks a second child; and again in each spare.
///
/// What happens only once in a process (the loader resolves a function at its first call, the runtime builds a type or searches all images for a conformance) has then happened in
/// every child that follows. What happens once in each (memory shared with the server is copied where it is written, and code is mapped where it runs, a page at a time) has happened in a spare
/// before its job comes. Both together take three quarters of the time from a job to its end.
enum Rehearsal {
    // Here and below `nonisolated(unsafe)` is safe because only the single-threaded server writes it, and its children, each alone in its memory, read it.
    private nonisolated(unsafe) static var jobs: [[UInt8]] = []

    /// Whether it has been.
    private(set) nonisolated(unsafe) static var isOver = false

    /// Makes some jobs and goes through them, in the server, unless that was done.
    static func run() {
        guard !isOver else { return }
        isOver = true
        // A rehearsal that fails costs the children the time that it would have saved, and nothing else.
        for job in [Job.action {}, .closure { 1 }, .function({ (text: String) in [text] }, "")] {
            guard let bytes = try? encode(job) else { continue }
            goThrough(bytes)
            jobs.append(bytes)
        }
        mp_set_thread_name("mp-fork-server")
    }

    /// Goes through the same jobs in a child that waits for one.
    ///
    /// - Parameter isNeeded: Tells that the child has something better to do.
    static func warmUp(until isNeeded: () -> Bool) {
        var next = 0
        while !isNeeded(), next < jobs.count {
            goThrough(jobs[next])
            next += 1
        }
    }

    private static func encode(_ job: Job) throws -> [UInt8] {
        let header = JobHeader(name: "Rehearsal", path: [1], isDaemon: true, wantsResult: true)
        let message = try JobMessage(job, header, parent: nil)
        try message.complete()
        return message.withContents { bytes, _ in Array(bytes) }
    }

    /// Sends a job to this process itself, carries it out, receives its outcome, and says last words; then this process is again who it was.
    private static func goThrough(_ job: [UInt8]) {
        let identity = ProcessIdentity.current
        try? perform(job)
        ChildMain.prepareEnd(-1)
        ProcessIdentity.become(identity)
    }

    private static func perform(_ job: [UInt8]) throws {
        let directory = try OwnedDescriptor(checking: mp_open_working_directory(), "opening the working directory")
        let pair = try Link.pair()
        // Those that `encode` tells of, as they are now: its own.
        let descriptors = [0, 1, 2, directory.number]
        try job.withUnsafeBytes { bytes in try pair.here.send(.job, bytes, descriptors: descriptors) }
        guard case .message(let message) = try pair.there.receive(wait: true) else { return }
        let (_, call) = try ChildMain.takeOn(message, pair.there.socket.number, lifeline: false)
        guard case .sync(let body) = try call.get() else { return }
        var writer = WireWriter()
        Outcome.write(result: try body(), into: &writer, userInfo: [:])
        try writer.withUnsafeBytes { bytes in try pair.there.send(.outcome, bytes) }
        _ = try pair.here.receive(wait: true)
        ChildMain.sendLastWords(0, on: pair.there.socket.number)
        // What they do besides in a child that has nothing but its link: a call that the loader had to find in each of them would cost as much as a dozen pages.
        fflush(nil)
        sched_yield()
    }
}

extension Rehearsal {
    /// Goes once through what a copy of this process (`.fork`) does with its link, in the parent, before the first is made.
    ///
    /// What the runtime does only once, such as building a type, may be what another thread is in the middle of when the copy is made. There is no such thread in the copy, which would wait for it for ever.
    static let ofCopies: Void = {
        // Where that fails, it is as before.
        try? performAsCopy()
    }()

    private static func performAsCopy() throws {
        let pair = try Link.pair()
        try pair.here.send(.soon, wait: false)
        _ = try pair.there.receive(wait: true)
        let descriptors = CarriedDescriptors()
        for hasThrown in [false, true] {
            var writer = WireWriter()
            if hasThrown {
                Outcome.write(error: DeadlineReached(), into: &writer)
            } else {
                Outcome.write(result: nil, into: &writer, userInfo: [CarriedDescriptors.userInfoKey: descriptors])
            }
            try writer.withUnsafeBytes { bytes in
                try pair.there.send(.outcome, bytes, descriptors: descriptors.numbers)
            }
            _ = try pair.here.receive(wait: true)
        }
    }
}
