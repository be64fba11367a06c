// SPDX-License-Identifier: Apache-2.0
//
// Large messages: their bytes go into a slot (RingSlots.swift), and only a short record into the ring.

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives
internal import Synchronization

extension Ring {
    /// The head of this moment. Acquiring: pairs with the release of the consumer, which has read what is overwritten then.
    var headPosition: RingPosition { RingPosition(word: head.pointee.load(ordering: .acquiring)) }

    // MARK: - Putting

    /// Puts a large message through a slot; nil when there is none for it, and it has to go through the ring.
    @inline(never)
    func putLarge(
        _ most: Int,
        _ descriptors: [Int32],
        until deadline: Deadline,
        _ cancellation: WaitCancellation?,
        _ waitsForOthers: Bool,
        _ fill: (UnsafeMutableRawPointer) -> Int
    ) throws(SystemError) -> RingOutcome? {
        if isShut { return .shut }
        if isAbandoned { return .abandoned }
        let head = headPosition
        // Before the copy, not after it.
        if deadline.hasPassed, !seemsToHaveRoom(most, head: head) { return .timedOut }
        guard let (slot, memory) = slots.borrow(most, head: head) else { return nil }
        let byteCount = fill(memory)
        precondition(byteCount <= most, "a message wrote beyond its place in a channel")
        let record = Record(most: 0, descriptors: descriptors, isPatient: false, slot: slot, slotBytes: byteCount)
        do throws(SystemError) {
            let outcome = try put(record, until: deadline, cancellation, waitsForOthers) { _ in 0 }
            if outcome != .done { slots.giveBack(slot) }
            return outcome
        } catch {
            slots.giveBack(slot)
            throw error
        }
    }

    /// Whether there may be room for a message, as far as that can be told without the producers' lock.
    private func seemsToHaveRoom(_ bytes: Int, head: RingPosition) -> Bool {
        let count = RingPosition(word: tail.pointee.load(ordering: .acquiring)).count(since: head)
        guard count > 0 else { return true }
        return count < capacity && (limit == .max || unitsInSlots(head: head) + bytes / RingPosition.unit <= limit)
    }

    /// Whether large messages may not have been taken yet; with the producers' lock.
    @inline(__always)
    var hasLargeMessages: Bool {
        get { base.load(fromByteOffset: 12, as: UInt32.self) != 0 }
        set { base.storeBytes(of: newValue ? 1 : 0, toByteOffset: 12, as: UInt32.self) }
    }

    /// The units of large messages that have not been taken.
    @inline(never)
    func unitsInSlots(head: RingPosition) -> Int {
        (slots.outstandingBytes(head: head) + RingPosition.unit - 1) / RingPosition.unit
    }

    /// Writes the record of a large message.
    @inline(never)
    func storeLarge(_ record: Record, ticket: UInt64, at address: UnsafeMutableRawPointer) {
        address.storeBytes(of: RecordKind.largeMessage << 56 | UInt64(record.slotBytes), as: UInt64.self)
        address.storeBytes(of: ticket, toByteOffset: 8, as: UInt64.self)
        address.storeBytes(of: UInt64(record.descriptors.count), toByteOffset: 16, as: UInt64.self)
        address.storeBytes(of: UInt64(record.slot), toByteOffset: 24, as: UInt64.self)
    }

    /// Gives a slot to the consumers, right before the record exists; with the producers' lock.
    @inline(never)
    func handOver(_ record: Record, sequence: Int) {
        hasLargeMessages = true
        slots.handOver(record.slot, record.slotBytes, sequence: sequence)
    }

    // MARK: - Taking

    /// Reads the record of a large message.
    @inline(never)
    func readLarge(_ address: UnsafeMutableRawPointer, _ length: Int, _ message: inout FoundMessage) throws(SystemError)
    {
        let slot = Int(clamping: address.load(fromByteOffset: 24, as: UInt64.self))
        guard slots.isPossible(slot, length) else { throw Self.damage }
        message.ticket = address.load(fromByteOffset: 8, as: UInt64.self)
        message.descriptorCount = Int(clamping: address.load(fromByteOffset: 16, as: UInt64.self))
        message.slot = slot
        message.slotBytes = length
    }

    /// Locks the slot of a large message and takes the message at once, so that nobody waits while it is read, unless descriptors come with it. With the consumers' lock, which is given up then.
    @inline(never)
    func openLarge(_ message: inout FoundMessage) throws(SystemError) {
        let length = message.slotBytes
        message.bytes = UnsafeRawBufferPointer(start: try slots.open(message.slot, length), count: length)
        guard message.descriptorCount == 0 else { return }
        ringIfMarked(Offset.spaceBell)
        publish(message.next, in: head, waking: Offset.space)
        leave(Offset.consumers)
        message.isTaken = true
    }

    /// Finishes a large message.
    @inline(never)
    func finishLarge(_ message: inout FoundMessage, descriptors: inout [Int32]) throws(SystemError) {
        defer { slots.free(message.slot) }
        if message.isTaken { return }
        defer { leave(Offset.consumers) }
        if message.descriptorCount > 0 { showAwake() }
        ringIfMarked(Offset.spaceBell)
        publish(message.next, in: head, waking: Offset.space)
        if message.descriptorCount > 0 { try receiveDescriptors(of: &message, into: &descriptors) }
    }
}
