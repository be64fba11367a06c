// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import MultiprocessingChannels
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding
internal import Synchronization

/// What a worker is given at its start: its memory, the pool's doorbell, and the socket for descriptors.
///
/// In the pool's process it only lends the descriptors; in the worker it owns what it decoded.
final class WorkerHandle: Codable, Sendable {
    private let lent: (memory: Int32, doorbell: Int32, socket: Int32, owner: any AnyObject & Sendable)?
    /// What arrived, for the worker to take once.
    private let arrived: Mutex<Arrived?>

    /// The worker's side of everything.
    struct Arrived: ~Copyable, Sendable {
        let memory: WorkerMemory
        let doorbell: MemoryRegion
        let socket: OwnedDescriptor
        let reportsMemory: Bool
    }

    private let reportsMemory: Bool

    /// Lends descriptors that `owner` keeps open.
    init(memory: Int32, doorbell: Int32, socket: Int32, reportsMemory: Bool, owner: any AnyObject & Sendable) {
        lent = (memory, doorbell, socket, owner)
        self.reportsMemory = reportsMemory
        arrived = Mutex(nil)
    }

    /// Takes over what was sent to this process.
    init(from decoder: any Decoder) throws {
        lent = nil
        var container = try decoder.unkeyedContainer()
        func descriptor() throws -> OwnedDescriptor {
            guard let carried = decoder.userInfo[CarriedDescriptors.userInfoKey] as? CarriedDescriptors,
                let number = carried.take(Int(try container.decode(UInt32.self)))
            else { throw HandleNotPortable(Self.self, "cannot be read by this decoder") }
            return OwnedDescriptor(owning: number)
        }
        let memory = try WorkerMemory(adopting: try descriptor())
        let doorbell = try MemoryRegion(adopting: try descriptor(), minimumSize: 64)
        let socket = try descriptor()
        reportsMemory = try container.decode(Bool.self)
        arrived = Mutex(Arrived(memory: memory, doorbell: doorbell, socket: socket, reportsMemory: reportsMemory))
    }

    func encode(to encoder: any Encoder) throws {
        guard let lent else { throw HandleNotPortable(Self.self, "belongs to one worker") }
        var container = encoder.unkeyedContainer()
        for number in [lent.memory, lent.doorbell, lent.socket] {
            try container.encode(
                HandleMemory.index(of: number, owner: lent.owner, type: Self.self, in: encoder)
            )
        }
        try container.encode(reportsMemory)
    }

    /// Gives what arrived, once; in a copy of the pool's process, which nothing is sent to, what was lent.
    func take() -> Arrived? {
        guard let lent else { return arrived.withLock { $0.take() } }
        guard let memory = try? WorkerMemory(adopting: OwnedDescriptor(owning: mp_duplicate(lent.memory))),
            let doorbell = try? MemoryRegion(
                adopting: OwnedDescriptor(owning: mp_duplicate(lent.doorbell)),
                minimumSize: 64
            )
        else { return nil }
        return Arrived(
            memory: memory,
            doorbell: doorbell,
            socket: OwnedDescriptor(owning: mp_duplicate(lent.socket)),
            reportsMemory: reportsMemory
        )
    }
}
