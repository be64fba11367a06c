// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Glibc
import Synchronization
import Testing

@testable import Multiprocessing
@testable import MultiprocessingChannels

/// What others that are under way may still use when a connection, a queue or a process is let go of.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ChannelOwnershipTests {
    @Test func `the descriptors of a connection stay open as long as somebody may ring its bell`() async throws {
        try await isolated {
            var ring: Ring?
            var numbers: [Int32] = []
            do {
                let link = try RingLink.pair(duplex: true).0
                ring = link.outbound
                numbers = [link.bell.number, link.socket.number]
            }
            try checkRingsOnly(ring, numbers)
            ring = nil
            // Somebody else may have them for a moment.
            try checkEventually("\(numbers.filter(isOpen)) are open") { !numbers.contains(where: isOpen) }
        }
    }

    @Test func `the descriptors of a queue stay open as long as somebody may ring its bell`() async throws {
        try await isolated {
            var ring: Ring?
            var numbers: [Int32] = []
            do {
                let core = try QueueCore(capacity: 1)
                ring = core.ring
                numbers = [core.ring.bell, core.ring.lane.sender, core.ring.lane.receiver]
            }
            try checkRingsOnly(ring, numbers)
            ring = nil
            // Somebody else may have them for a moment.
            try checkEventually("\(numbers.filter(isOpen)) are open") { !numbers.contains(where: isOpen) }
        }
    }

    @Test(arguments: [false, true])
    func `a connection that is closed while it waits to be sent arrives all the same`(isStream: Bool) async throws {
        try await isolated {
            let (near, far) = try Self.ends(isStream)
            let gate = try Event()
            let pool = try Pool(processes: 1)
            // More than the worker is given before it is done with the first.
            let held = try (0..<100).map { _ in try pool.applyAsync({ (gate: Event) in _ = try gate.wait() }, gate) }
            let sent = try pool.applyAsync({ (far: Connection) in try far.send("an argument") }, far)
            let captured = try pool.applyAsync { try far.send("a capture") }
            far.close()
            let error = try checkThrows(ConnectionError.self) {
                _ = try pool.applyAsync({ (far: Connection) in far.close() }, far)
            }
            try checkEqual(error.code, .closed)
            gate.set()
            for result in held + [sent, captured] { try result.get(timeout: .seconds(60)) }
            try checkEqual(try near.receive(timeout: .seconds(60)), "an argument")
            try checkEqual(try near.receive(timeout: .seconds(60)), "a capture")
            pool.close()
            try pool.join()
        }
    }

    private static func ends(_ isStream: Bool) throws -> (Connection, Connection) {
        guard isStream else { return try Connection.pipe() }
        let listener = try Listener()
        let far = try Connection.connect(to: listener.address)
        return (try listener.accept(), far)
    }

    @Test func `a process that is closed while it is waited for is ready`() async throws {
        try await isolated {
            let child = ChildProcess {}
            try child.start()
            let source = try child.waitSource
            try child.join()
            try child.close()
            // The number of what tells its end is used again, by files with nothing to read.
            let pipes = (0..<8).map { _ in TestPipe() }
            try check(source.target.isReady)
            for pipe in pipes { _ = pipe.readAll() }
        }
    }

    @Test func `waits whose time is over as they begin end, and none fails`() async throws {
        try await isolated {
            let reactor = try Runtime.shared().reactor
            let pipe = TestPipe()
            let ended = Count()
            for _ in 0..<20_000 {
                _ = try reactor.waitOnce(pipe.readEnd, until: .passed) { _ in ended.value.add(1, ordering: .relaxed) }
            }
            try checkEventually("\(ended.value.load(ordering: .relaxed)) waits have ended") {
                ended.value.load(ordering: .relaxed) == 20_000
            }
            _ = pipe.readAll()
        }
    }

    /// Rings as the reactor does when the other end has gone, with strangers' files where closed descriptors were.
    private func checkRingsOnly(_ ring: Ring?, _ numbers: [Int32]) throws {
        try check(numbers.allSatisfy(isOpen), "\(numbers.filter { !isOpen($0) }) were closed")
        var strangers: [Int32] = []
        defer { for stranger in strangers { close(stranger) } }
        for _ in 0..<8 {
            let stranger = mp_memfd_create("test")
            strangers.append(stranger)
            try checkEqual(ftruncate(stranger, 64), 0)
        }
        ring?.abandon()
        for stranger in strangers {
            var first: UInt64 = 0
            try checkEqual(pread(stranger, &first, 8, 0), 8)
            try checkEqual(first, 0)
        }
    }
}

/// How many.
private final class Count: Sendable {
    let value = Atomic(0)
}

private func isOpen(_ number: Int32) -> Bool { fcntl(number, F_GETFD) >= 0 }
