// SPDX-License-Identifier: Apache-2.0

import Glibc
import MultiprocessingPrimitives
import Testing

@testable import Multiprocessing
@testable import MultiprocessingChannels

/// Tasks beside a producer that has the lock and does not go on, as a stopped process would.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct StoppedPeerTests {
    /// How they wait.
    enum Way: CaseIterable, Codable {
        case get, join, wait, waitOnThread
    }

    /// Holds the lock of those who put, on a thread of its own, while `body` runs.
    private static func withBusyProducer(_ queue: JoinableQueue<Int>, _ body: () async throws -> Void) async throws {
        let (entered, gate) = (try Event(), try Event())
        let thread = try onThreadAsync {
            _ = try queue.core.ring.producers.acquire()
            let tally = queue.core.ring.base + 448
            _ = try RobustLock(tally).acquire()
            entered.set()
            _ = try gate.wait()
            _ = RobustLock(tally).releaseIfHeldByThread()
            _ = queue.core.ring.producers.releaseIfHeldByThread()
        }
        try await entered.wait()
        try await body()
        gate.set()
        try thread.get()
    }

    /// How often threads of this process have gone to sleep.
    private static var sleeps: Int {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return usage.ru_nvcsw
    }

    @Test(arguments: Way.allCases)
    func `a wait does not look again and again`(way: Way) async throws {
        try await apart(timeout: .seconds(300)) {
            let queue = try JoinableQueue<Int>()
            if way == .join {
                try await queue.put(1)
                _ = try await queue.get()
            }
            try await Self.withBusyProducer(queue) {
                let before = Self.sleeps
                let time = Duration.seconds(1)
                switch way {
                case .get: _ = try? await queue.get(timeout: time)
                case .join: _ = try await queue.join(timeout: time)
                case .wait: _ = try await Connection.wait(for: [queue], timeout: time)
                default: _ = try onThread { try Connection.wait(for: [queue], timeout: time) }
                }
                let count = Self.sleeps - before
                try check(count < 300, "slept \(count) times in a second")
            }
        }
    }

    @Test func `a shutdown cut half-way ends a task's wait as soon as a thread's`() async throws {
        try await apart(timeout: .seconds(300)) {
            let queue = try JoinableQueue<Int>()
            try await Self.withBusyProducer(queue) {
                // As `shutDown`, killed before it could know whether a put was under way.
                queue.core.ring.raise(Ring.begun, waking: Ring.Offset.items)
                queue.core.ring.raise(Ring.shut, waking: Ring.Offset.space)
                do {
                    _ = try await queue.get(timeout: .seconds(60))
                    try check(false, "an element")
                } catch let error as QueueError { try checkEqual(error.code, .shutDown) }
            }
        }
    }
}
