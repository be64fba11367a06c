// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import MultiprocessingChannels
internal import MultiprocessingPrimitives
internal import Synchronization

/// A result that lies in a worker's segment, until this is dropped.
final class SegmentLease: Sendable {
    /// How many there are of one worker.
    final class Count: Sendable {
        private let value = Atomic<Int>(0)

        // Relaxed, here and below: nothing else is read by it.
        var count: Int { value.load(ordering: .relaxed) }

        fileprivate func add(_ number: Int) { value.add(number, ordering: .relaxed) }
    }

    private let region: MemoryRegion
    private let slot: Int
    private let memory: WorkerMemory
    private let leases: Count
    private let madeIn = mp_fork_generation()

    init(_ region: MemoryRegion, slot: Int, of worker: LocalWorker) {
        self.region = region
        self.slot = slot
        memory = worker.memory
        leases = worker.leases
        leases.add(1)
    }

    deinit {
        leases.add(-1)
        // A copy of this process drops its copy of the result; the one who made it may still read.
        if slot != SegmentSender.unkept, mp_fork_generation() == madeIn { memory.setRead(slot, false) }
    }
}
