// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingChannels
internal import MultiprocessingPrimitives

/// What carries a connection's messages: shared memory on one machine, a stream between machines. Nothing above knows which.
protocol ConnectionLink: AnyObject, WaitTarget {
    /// Buffers for the messages of this end.
    var buffers: MessageBuffers { get }
    /// Whether this end can receive.
    var isReadable: Bool { get }
    /// Whether this end can send.
    var isWritable: Bool { get }
    /// Whether it was closed here.
    var isClosed: Bool { get }

    /// Sends bytes with descriptors, blocking the thread.
    func send(_ bytes: UnsafeRawBufferPointer, descriptors: [Int32], until deadline: Deadline) throws -> RingOutcome
    /// Sends a message, suspending the task.
    func send(_ message: OutgoingMessage, until deadline: Deadline) async throws -> RingOutcome
    /// Receives a message, blocking the thread.
    func receive(into message: IncomingMessage, until deadline: Deadline) throws -> RingOutcome
    /// Receives a message, suspending the task.
    func receive(into message: IncomingMessage, until deadline: Deadline) async throws -> RingOutcome
    /// Waits until something can be received, blocking the thread.
    func poll(until deadline: Deadline) throws -> RingOutcome
    /// Waits until something can be received, suspending the task.
    func poll(until deadline: Deadline) async throws -> RingOutcome
    /// Ends the use of this end.
    func close()
    /// Encodes this end for another process.
    func encode(type: Any.Type, to encoder: any Encoder) throws

    /// Whether the other end is a process of the same build of the same program, so that functions can be sent.
    var isSameProgram: Bool { get }
    /// A descriptor of this process that is readable whenever something can be received; it stays open as long as the link lives.
    func readableDescriptor() throws -> Int32
}

extension ConnectionLink {
    /// The socket by whose end the other side sees the end of this process.
    var socketNumber: Int32? { (self as? StreamLink)?.socket.number ?? (self as? RingLink)?.socket.number }

    /// Sends a message, blocking the thread.
    @inline(__always)
    func send(_ message: OutgoingMessage, until deadline: Deadline) throws -> RingOutcome {
        try message.withBytes { try send($0, descriptors: message.descriptors, until: deadline) }
    }
}
