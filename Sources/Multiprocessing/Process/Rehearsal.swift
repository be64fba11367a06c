// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import MultiprocessingFunctions
internal import MultiprocessingWireCoding

/// Goes once through everything that a child does with a job, in the server, before it forks.
///
/// What happens only once in a process (the loader resolves a function at its first call, the runtime builds a type or searches all images for a conformance) has then
/// happened in every child. It more than halves the time from a job to its end.
enum Rehearsal {
    // `nonisolated(unsafe)` is safe because only the single-threaded server writes it, and its children, each alone in its memory, read it.
    private nonisolated(unsafe) static var jobs: [Message] = []

    /// Goes through a job again in a child that waits for one: the pages that it will write are its own then, and those that it will read are mapped.
    static func warmUp() {
        var writer = WireWriter(capacity: 4096)
        for message in jobs { _ = try? perform(message, &writer) }
        // Who it is it will be told, and its last words go to nobody: but what these steps touch is there.
        ProcessIdentity.current = ProcessIdentity.current
        mp_set_thread_name("mp-spare")
        ChildMain.sendLastWords(0, on: -1)
    }

    /// Sends a job to this process itself, carries it out, and receives its outcome.
    static func run() {
        // A rehearsal that fails costs the children the time that it would have saved, and nothing else.
        _ = try? rehearse(.action {})
        _ = try? rehearse(.closure { 1 })
        _ = try? rehearse(.function({ (text: String) in [text] }, ""))
    }

    private static func rehearse(_ job: Job) throws {
        let descriptors = CarriedDescriptors()
        var writer = WireWriter()
        try Surroundings.write(into: &writer, descriptors, parent: nil)
        JobHeader(name: "Rehearsal", path: [1], isDaemon: true, wantsResult: true).write(into: &writer)
        try job.encode(&writer, [CarriedDescriptors.userInfoKey: descriptors])

        let pair = try Link.pair()
        try writer.withUnsafeBytes { bytes in try pair.here.send(.job, bytes, descriptors: descriptors.numbers) }
        guard case .message(let message) = try pair.there.receive(wait: true) else { return }
        _ = try message.withReader { try Surroundings.adopt(from: &$0, message.descriptors) }
        try perform(message, &writer)
        jobs.append(message)
        try writer.withUnsafeBytes { bytes in try pair.there.send(.outcome, bytes) }
        _ = try pair.here.receive(wait: true)
        ChildMain.sendLastWords(0, on: pair.there.socket.number)
    }

    /// Carries out a job, as far as nothing outside this process' memory is touched.
    private static func perform(_ message: Message, _ writer: inout WireWriter) throws {
        let call = try message.withReader { reader in
            try Surroundings.skip(&reader)
            _ = try JobHeader.read(from: &reader, parentDescriptor: nil)
            return try ChildMain.readCall(from: &reader, message.userInfo)
        }
        guard case .sync(let body) = call else { return }
        writer.removeAll()
        Outcome.write(result: try body(), into: &writer, userInfo: [:])
    }
}
