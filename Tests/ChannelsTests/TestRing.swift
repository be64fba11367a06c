// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Glibc
import Laboratory
import MultiprocessingChannels
import MultiprocessingPrimitives

/// A ring with its descriptors, as one process makes it and its forked children inherit it.
struct TestRing {
    let file: RingFile
    let ring: Ring

    init(capacity: Int?) throws {
        file = try RingFile()
        var sockets: [Int32] = [-1, -1]
        guard mp_socketpair(&sockets) == 0 else { throw SystemError("making sockets") }
        let lane = DescriptorLane(sender: sockets[0], receiver: sockets[1])
        ring = try Ring(file, 0..<file.size, bell: mp_eventfd(0), lane: lane, isNew: true, capacity: capacity)
    }
}

extension Ring {
    /// Puts bytes.
    func put(bytes: [UInt8], descriptors: [Int32] = [], until deadline: Deadline = .never) throws -> RingOutcome {
        try bytes.withUnsafeBytes { try put($0, descriptors: descriptors, until: deadline) }
    }

    /// Takes a message without descriptors; nil when it ended otherwise.
    func takeBytes(until deadline: Deadline = .passed) throws -> [UInt8]? {
        var (bytes, descriptors) = ([UInt8](), [Int32]())
        let outcome = try take(until: deadline, descriptors: &descriptors) { bytes = Array($0) }
        return outcome == .done && descriptors.isEmpty ? bytes : nil
    }
}

/// Words of shared memory for processes that a test forks.
struct SharedWords {
    private let region: MemoryRegion

    init() throws {
        region = try MemoryRegion(size: 4096, name: "mp-test")
    }

    /// One of 64 words.
    subscript(_ index: Int) -> SharedWord { SharedWord(region.base, offset: 64 * index) }
}
