// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// What a child is told, in bytes: its surroundings, who it is, and its job.
final class JobMessage {
    /// The name of the child.
    let name: String
    private let isDaemon: Bool
    private let bytes: WireWriter
    private let descriptors: CarriedDescriptors

    /// Encodes a job. A daemon that the server does not watch over gets a lifeline.
    ///
    /// - Throws: `FunctionNotPortable` and encoding errors.
    init(_ job: Job, _ header: JobHeader, lifeline: Lifeline? = nil, _ runtime: Runtime) throws {
        let descriptors = CarriedDescriptors()
        var writer = WireWriter(capacity: 4096)
        try Surroundings.write(into: &writer, descriptors, parent: runtime.ownDescriptor)
        header.write(into: &writer)
        if let lifeline { writer.write(UInt8(descriptors.attach(lifeline.childEnd, owner: lifeline))) }
        try job.encode(&writer, [CarriedDescriptors.userInfoKey: descriptors])
        name = header.name
        isDaemon = header.isDaemon
        bytes = writer
        self.descriptors = descriptors
    }

    /// Sends it to a child of the server that is not there yet.
    func send(to child: OrderedChild) throws(SystemError) {
        child.setSurvives(!isDaemon)
        try bytes.withUnsafeBytes { bytes throws(SystemError) in
            try child.send(bytes, descriptors: descriptors.numbers)
        }
    }

    /// Sends it to a child of the server.
    func send(to process: LaunchedProcess, _ child: OrderedChild) throws(SystemError) {
        child.setSurvives(!isDaemon)
        try send(to: process)
    }

    /// Sends it to a child.
    func send(to process: LaunchedProcess) throws(SystemError) {
        try bytes.withUnsafeBytes { bytes throws(SystemError) in
            try process.send(bytes, descriptors: descriptors.numbers)
        }
    }
}
