// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Synchronization
import Testing

/// An argument that tells when it is encoded: right before the request is sent.
private struct Announced: Codable, Sendable {
    /// Set by the next one that is encoded.
    static let isEncoded = Atomic<Bool>(false)

    init() {}

    init(from decoder: any Decoder) throws {}

    func encode(to encoder: any Encoder) throws {
        Self.isEncoded.store(true, ordering: .releasing)
    }
}

/// A value that tells when it goes.
private final class Leaver: Sendable {
    private let gone: Event

    init(_ gone: Event) {
        self.gone = gone
    }

    deinit {
        gone.set()
    }
}

/// A value that takes its time to go.
private final class SlowLeaver: Sendable {
    private let entered: Event
    private let gate: Event

    init(_ entered: Event, _ gate: Event) {
        (self.entered, self.gate) = (entered, gate)
    }

    deinit {
        entered.set()
        _ = try? gate.wait(timeout: .seconds(60))
    }
}

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ManagerCancellationTests {
    @Test func `a call that is cancelled while there is no room ends no other`() async throws {
        try await apart(timeout: .seconds(300)) { () async throws in
            let manager = try Manager()
            let total = try await manager.host { 0 }
            try await total.withValue(with: Announced()) { $0 += 0 * MemoryLayout.size(ofValue: $1) }
            // Stopped, it takes no more requests than there is room for.
            try Proc.stop(manager.processIdentifier)
            let block = [UInt8](repeating: 1, count: 1 << 20)
            let filling = try (0..<6).map { _ in
                try onThreadAsync { try total.withValue(with: block) { $0 += $1.count } }
            }
            for _ in 0..<100 {
                Announced.isEncoded.store(false, ordering: .relaxed)
                let call = Task {
                    try await total.withValue(with: Announced()) { $0 += MemoryLayout.size(ofValue: $1) }
                }
                while !Announced.isEncoded.load(ordering: .acquiring) { await Task.yield() }
                call.cancel()
                do {
                    try await call.value
                    try check(false, "was made")
                } catch is CancellationError {}
            }
            kill(manager.processIdentifier, SIGCONT)
            for thread in filling { try thread.get() }
            try checkEqual(try await total.withValue { $0 }, 6 << 20)
            try await manager.shutdown()
        }
    }

    @Test func `a value goes that nobody waits for any more when it is made`() async throws {
        try await apart(timeout: .seconds(300)) { () async throws in
            let manager = try Manager()
            let (entered, gate, gone) = (try Event(), try Event(), try Event())
            let making = Task {
                try await manager.host {
                    entered.set()
                    _ = try gate.wait(timeout: .seconds(60))
                    return Leaver(gone)
                }
            }
            try checkEqual(try await entered.wait(timeout: .seconds(60)), true)
            making.cancel()
            do {
                _ = try await making.value
                try check(false, "was not cancelled")
            } catch is CancellationError {}
            gate.set()
            try checkEqual(try await gone.wait(timeout: .seconds(60)), true)
            try await manager.shutdown()
        }
    }

    @Test func `a value that takes long to go keeps no other call waiting`() async throws {
        try await isolated {
            let manager = try Manager()
            let number = try manager.host { 0 }
            let (entered, gate) = (try Event(), try Event())
            var slow: Managed<SlowLeaver>? = try manager.host { SlowLeaver(entered, gate) }
            try slow?.withValue { _ in }
            slow = nil
            try check(try entered.wait(timeout: .seconds(60)))
            for _ in 0..<100 { try number.withValue { $0 += 1 } }
            try checkEqual(try number.withValue { $0 }, 100)
            gate.set()
            try manager.shutdown()
        }
    }

    @Test func `asynchronous functions that never suspend keep their own values busy and no other`() async throws {
        try await apart(timeout: .seconds(300)) { () async throws in
            let manager = try Manager()
            let number = try await manager.host { 0 }
            let entered = try Semaphore(value: 0)
            let count = 2 * availableCPUCount + 2
            for _ in 0..<count {
                let stuck = try await manager.host { 0 }
                Task {
                    try await stuck.withValue { _ async throws in
                        try entered.release()
                        while true { pause() }
                    }
                }
            }
            for _ in 0..<count { try checkEqual(try await entered.acquire(timeout: .seconds(60)), true) }
            for _ in 0..<3 {
                // So long that nobody in the manager reads from this client any more.
                try await Task.sleep(for: .milliseconds(200))
                try await number.withValue { $0 += 1 }
            }
            // Those that do suspend go on, and so do other clients.
            try await number.withValue { number in
                try await Task.sleep(for: .milliseconds(1))
                number += 1
            }
            try await ChildProcess.run { try number.withValue { $0 += 1 } }
            try checkEqual(try await number.withValue { $0 }, 5)
            try await manager.shutdown()
        }
    }
}
