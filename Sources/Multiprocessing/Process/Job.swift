// SPDX-License-Identifier: Apache-2.0
//
// What a child is to do, as bytes:
//
//   string    name;   varint and varints: path;   1 byte: bit 0 daemon, bit 1 wants the result;   1 byte: log level, 255 without;   string: the parent's name;   4 bytes: the parent's pid
//   …         the function (PortableFunction), then its arguments

internal import Glibc
internal import MultiprocessingFunctions
internal import MultiprocessingWireCoding

/// A function with its arguments, to be run in a child.
struct Job: Sendable {
    /// Writes function and arguments; throws what cannot be carried.
    let encode: @Sendable (inout WireWriter, [CodingUserInfoKey: Any]) throws -> Void
    /// Makes the call in this process, for a child that is a copy of it. Nil for an asynchronous body.
    let callHere: (@Sendable () throws -> ResultEncoder?)?
}

/// How a child is to present itself.
struct JobHeader: Sendable {
    let name: String
    let path: [Int]
    let isDaemon: Bool
    /// Whether the parent waits for the outcome; otherwise an error is written to the child's stderr.
    let wantsResult: Bool

    /// Writes the header, with what the child needs to know of this process.
    func write(into writer: inout WireWriter) {
        writer.writeString(name)
        writer.writeVarint(UInt64(path.count))
        for number in path { writer.writeVarint(UInt64(number)) }
        writer.write(UInt8((isDaemon ? 1 : 0) | (wantsResult ? 2 : 0)))
        writer.write(Log.inheritedLevel?.rawValue ?? UInt8.max)
        writer.writeString(ProcessIdentity.current.name)
        writer.write(getpid())
    }

    /// Reads a header. Returns it with the identity of the process that reads it.
    static func read(from reader: inout WireReader, parentDescriptor: Int32?) throws -> (JobHeader, ProcessIdentity) {
        let name = try reader.readString()
        var path: [Int] = []
        for _ in 0..<(try reader.readCount()) { path.append(Int(clamping: try reader.readVarint())) }
        let flags: UInt8 = try reader.read()
        if let level = Multiprocessing.LogLevel(rawValue: try reader.read()) {
            Multiprocessing.logToStandardError(level: level)
        }
        let parent = ProcessIdentity.Parent(
            name: try reader.readString(),
            processIdentifier: try reader.read(),
            pidfd: parentDescriptor
        )
        let header = JobHeader(name: name, path: path, isDaemon: flags & 1 != 0, wantsResult: flags & 2 != 0)
        return (header, ProcessIdentity(name: name, path: path, isDaemon: header.isDaemon, parent: parent))
    }
}
