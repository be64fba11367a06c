// SPDX-License-Identifier: Apache-2.0
//
// What all queues share: one ring, a bell for tasks, and a pair of sockets for descriptors, both ends of which every handle holds. It travels as those four descriptors.

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingChannels
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding
internal import Synchronization

/// A queue of messages.
final class QueueCore: Sendable {
    private let file: RingFile
    private let bell: SharedDescriptor
    private let sender: SharedDescriptor
    private let receiver: SharedDescriptor
    private let isClosedHere = Atomic<Bool>(false)
    let ring: Ring
    /// The same, for calls that last no longer than this object: no count goes up and down with each message.
    private let unmanagedRing: Unmanaged<Ring>
    let tasks: RingTasks
    let buffers = MessageBuffers()

    /// Makes a queue.
    ///
    /// - Throws: `QueueError` (`invalidCapacity`), `SystemError`.
    init(capacity: Int?) throws {
        if let capacity, !(1...RingPosition.largestCount).contains(capacity) {
            throw QueueError(.invalidCapacity, "a queue cannot have a capacity of \(capacity) elements")
        }
        file = try RingFile()
        bell = SharedDescriptor(try OwnedDescriptor(checking: mp_eventfd(0), "making an event descriptor"))
        var sockets: [Int32] = [-1, -1]
        guard mp_socketpair(&sockets) == 0 else { throw SystemError("making sockets for a queue") }
        sender = SharedDescriptor(OwnedDescriptor(owning: sockets[0]))
        receiver = SharedDescriptor(OwnedDescriptor(owning: sockets[1]))
        let lane = DescriptorLane(sender: sender.number, receiver: receiver.number)
        ring = try Ring(
            file,
            0..<file.size,
            bell: bell.number,
            lane: lane,
            owners: [bell, sender, receiver],
            isNew: true,
            capacity: capacity
        )
        unmanagedRing = .passUnretained(ring)
        tasks = RingTasks(ring, bell: bell.number)
    }

    /// Opens a queue that was sent here.
    init(type: Any.Type, from decoder: any Decoder) throws {
        var descriptors = try ChannelHandle.decode(type: type, from: decoder).descriptors(4)
        file = try RingFile(adopting: descriptors.next())
        bell = SharedDescriptor(try descriptors.next())
        sender = SharedDescriptor(try descriptors.next())
        receiver = SharedDescriptor(try descriptors.next())
        let lane = DescriptorLane(sender: sender.number, receiver: receiver.number)
        ring = try Ring(
            file,
            0..<file.size,
            bell: bell.number,
            lane: lane,
            owners: [bell, sender, receiver],
            isNew: false
        )
        unmanagedRing = .passUnretained(ring)
        tasks = RingTasks(ring, bell: bell.number)
    }

    deinit {
        tasks.close()
    }

    /// Encodes the queue's descriptors.
    func encode(type: Any.Type, to encoder: any Encoder) throws {
        let numbers = [file.descriptor, bell.number, sender.number, receiver.number]
        try ChannelHandle.encode(numbers, owners: [self], type: type, to: encoder)
    }

    // MARK: - Ending

    /// Whether `close` was called here.
    var isClosed: Bool {
        // Acquiring: pairs with the release in `close`.
        isClosedHere.load(ordering: .acquiring)
    }

    /// Ends the use of this handle, and all that waits with it.
    func close() {
        // Before the waits end, which tell by it why.
        isClosedHere.store(true, ordering: .releasing)
        ring.closeHere()
        tasks.wake()
    }

    /// Throws when this handle is closed.
    @inline(__always)
    func checkOpen() throws {
        guard isClosed else { return }
        throw QueueError(.closed, "this handle of the queue was closed")
    }

    /// Turns the outcome of a call into its result: whether it was done in time.
    @inline(__always)
    func result(_ outcome: RingOutcome) throws -> Bool {
        if case .done = outcome { return true }
        return try failure(outcome)
    }

    private func failure(_ outcome: RingOutcome) throws -> Bool {
        switch outcome {
        case .cancelled: throw CancellationError()
        case .abandoned: throw QueueError(.closed, "this handle of the queue was closed")
        case .shut: throw QueueError(.shutDown, "the queue was shut down")
        case .tooLarge:
            throw QueueError(.elementTooLarge, "an element takes more than \(ring.largestMessage) bytes")
        default: return false
        }
    }

    // MARK: - Elements

    /// Puts an element, blocking the thread until `deadline`; false when there was no room.
    @inline(__always)
    func put<Element: Encodable>(_ element: Element, until deadline: Deadline) throws -> Bool {
        try checkOpen()
        if let flat = FlatCoding(Element.self) {
            return try result(try unmanagedRing._withUnsafeGuaranteedRef { try $0.put(element, flat, until: deadline) })
        }
        return try buffers.withOutgoing { message in
            try message.encode(element)
            return try result(message.withBytes { try ring.put($0, descriptors: message.descriptors, until: deadline) })
        }
    }

    /// Puts an element, suspending the task until `deadline`; false when there was no room.
    func put<Element: Encodable>(_ element: Element, until deadline: Deadline) async throws -> Bool {
        try checkOpen()
        if let flat = FlatCoding(Element.self) {
            try Task.checkCancellation()
            let outcome = try ring.put(element, flat, until: .passed, waitsForOthers: false)
            if outcome != .timedOut, outcome != .busy { return try result(outcome) }
        }
        let message = buffers.takeOutgoing()
        defer { buffers.giveBack(message) }
        try message.encode(element)
        return try result(try await tasks.put(message, until: deadline))
    }

    /// Takes an element, blocking the thread until a timeout.
    ///
    /// - Throws: `TimeoutError`, `QueueError`, what decoding throws.
    @inline(__always)
    func get<Element: Decodable>(_ type: Element.Type, timeout: Duration?) throws -> Element {
        try checkOpen()
        guard let flat = FlatCoding(type) else { return try getThroughBuffer(type, timeout) }
        // The element is returned from where it is decoded. In an optional or a result, unspecialised code would look up their metadata for each.
        var message = FoundMessage()
        let outcome = try unmanagedRing._withUnsafeGuaranteedRef {
            try $0.find(&message, until: Deadline(timeout: timeout))
        }
        guard case .done = outcome else { throw try late(outcome, timeout) }
        return try unmanagedRing._withUnsafeGuaranteedRef { try $0.finish(&message, type, flat, buffers) }
    }

    @inline(never)
    private func getThroughBuffer<Element: Decodable>(_ type: Element.Type, _ timeout: Duration?) throws -> Element {
        try buffers.withIncoming { message in
            var found = FoundMessage()
            let outcome = try ring.find(&found, until: Deadline(timeout: timeout))
            guard case .done = outcome else { throw try late(outcome, timeout) }
            return try ring.finish(&found, through: message) { try message.decode(type) }
        }
    }

    /// Returns the error of an element that did not come in time, or throws another one.
    private func late(_ outcome: RingOutcome, _ timeout: Duration?) throws -> TimeoutError {
        _ = try result(outcome)
        return TimeoutError(operation: "getting an element from a queue", timeout: timeout ?? .zero)
    }

    /// Takes an element if there is one now.
    func tryGet<Element: Decodable>(_ type: Element.Type) throws -> Element? {
        try checkOpen()
        guard let flat = FlatCoding(type) else {
            return try buffers.withIncoming { message in
                var found = FoundMessage()
                guard try result(try ring.find(&found, until: .passed)) else { return nil }
                return try ring.finish(&found, through: message) { try message.decode(type) }
            }
        }
        var message = FoundMessage()
        let outcome = try ring.find(&message, until: .passed)
        return try result(outcome) ? try ring.finish(&message, type, flat, buffers) : nil
    }

    /// Takes an element, suspending the task until `deadline`; nil when there was none.
    func get<Element: Decodable>(_ type: Element.Type, until deadline: Deadline) async throws -> Element? {
        try checkOpen()
        if let element = try getAtOnce(type) { return element }
        let message = buffers.takeIncoming()
        defer { buffers.giveBack(message) }
        return try result(try await tasks.take(into: message, until: deadline)) ? try message.decode(type) : nil
    }

    /// Takes an element of a flat type if there is one now and nobody else is at it.
    private func getAtOnce<Element: Decodable>(_ type: Element.Type) throws -> Element? {
        guard let flat = FlatCoding(type) else { return nil }
        try Task.checkCancellation()
        var message = FoundMessage()
        let outcome = try ring.find(&message, until: .passed, waitsForOthers: false)
        switch outcome {
        case .timedOut, .busy: return nil
        default: return try result(outcome) ? try ring.finish(&message, type, flat, buffers) : nil
        }
    }
}
