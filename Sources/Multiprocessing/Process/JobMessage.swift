// SPDX-License-Identifier: Apache-2.0
//
//   8 bytes   length of the job
//   …         the job: who the child is, and what it is to do (Job)
//   …         the surroundings (Surroundings): last, because they are written while the child is being made

internal import Glibc
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// What a child is told, in bytes: who it is, its job, and its surroundings.
///
/// Not `Sendable`: used by whoever starts the child.
final class JobMessage {
    /// The name of the child.
    let name: String
    private let isDaemon: Bool
    private let parent: SharedDescriptor?
    @exclusivity(unchecked) private var bytes: WireWriter
    private let descriptors: CarriedDescriptors
    private var isComplete = false

    /// Encodes a job. A daemon that the server does not watch over gets a lifeline.
    ///
    /// - Parameter parent: A pidfd of this process, for the child.
    /// - Throws: `FunctionNotPortable` and encoding errors.
    init(_ job: Job, _ header: JobHeader, lifeline: Lifeline? = nil, parent: SharedDescriptor?) throws {
        let descriptors = CarriedDescriptors()
        var writer = WireWriter(capacity: 4096)
        writer.write(UInt64(0))
        header.write(into: &writer)
        if let lifeline { writer.write(UInt8(descriptors.attach(lifeline.childEnd, owner: lifeline))) }
        try job.encode(&writer, [CarriedDescriptors.userInfoKey: descriptors])
        writer.overwrite(UInt64(writer.count - 8), at: 0)
        name = header.name
        isDaemon = header.isDaemon
        bytes = writer
        self.parent = parent
        self.descriptors = descriptors
    }

    /// Adds the surroundings of now, unless that was done.
    ///
    /// - Throws: `SystemError` when descriptors are short.
    func complete() throws(SystemError) {
        guard !isComplete else { return }
        try Surroundings.write(into: &bytes, descriptors, parent: parent)
        isComplete = true
    }

    /// Calls `body` with the bytes and the descriptors beside them.
    func withContents<R, Failure: Error>(
        _ body: (UnsafeRawBufferPointer, [Int32]) throws(Failure) -> R
    ) throws(Failure) -> R {
        try bytes.withUnsafeBytes { bytes throws(Failure) in try body(bytes, descriptors.numbers) }
    }

    /// Sends it to a child of the server that is not there yet.
    func send(to child: OrderedChild) throws(SystemError) {
        child.setSurvives(!isDaemon)
        try withContents { bytes, descriptors throws(SystemError) in try child.send(bytes, descriptors: descriptors) }
    }

    /// Sends it to a child of the server.
    func send(to process: LaunchedProcess, _ child: OrderedChild) throws(SystemError) {
        child.setSurvives(!isDaemon)
        try send(to: process)
    }

    /// Sends it to a child.
    func send(to process: LaunchedProcess) throws(SystemError) {
        try withContents { bytes, descriptors throws(SystemError) in try process.send(bytes, descriptors: descriptors) }
    }
}
