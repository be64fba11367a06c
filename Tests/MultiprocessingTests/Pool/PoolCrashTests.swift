// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

private func double(_ n: Int) -> Int { 2 * n }

private func overflow(_ n: Int) -> Int {
    withUnsafeTemporaryAllocation(of: Int.self, capacity: 1024) { room in
        room.initialize(repeating: n)
        return n < 0 ? 0 : overflow(n + 1) + room[n & 1023]
    }
}

/// How a call is to end its worker.
private enum Ending: Int, Codable, CaseIterable {
    case trap, index, exitZero, exitThree, quickExit, abort, overflow, segmentationFault, terminate
}

private func end(_ ending: Ending) -> Int {
    switch ending {
    case .trap: fatalError("a trap in a task")
    case .index: return [1, 2, 3][ending.rawValue + Int(getpid())]
    case .exitZero: exit(0)
    case .exitThree: exit(3)
    case .quickExit: _exit(0)
    case .abort: abort()
    case .overflow: return overflow(0)
    case .segmentationFault: return Int(raise(SIGSEGV))
    case .terminate:
        kill(getpid(), SIGTERM)
        while true { pause() }
    }
}

/// Does what `end` does, where the code of asynchronous functions runs.
private func endLater(_ ending: Ending) async -> Int {
    await Task.yield()
    return end(ending)
}

/// Cannot be encoded.
private struct Unsendable: Codable {
    struct Refused: Error, Codable, Equatable {}

    init() {}
    init(from decoder: any Decoder) throws {}
    func encode(to encoder: any Encoder) throws { throw Refused() }
}

/// Can be encoded and not decoded.
private struct OneWay: Codable, Error {
    struct Refused: Error, Codable, Equatable {}

    init() {}
    init(from decoder: any Decoder) throws { throw Refused() }
    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(1)
    }
}

/// Ends the process that reads it. Not private: an optimised program keeps no metadata of such a type.
struct Bomb: Codable {
    let number: Int
    let text: String

    init(number: Int, text: String) {
        self.number = number
        self.text = text
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        let text = try container.decode(String.self, forKey: .text)
        fatalError(text)
    }
}

/// Tasks that end their workers, and tasks whose values cannot travel.
@Suite(.leavesNothing) struct PoolCrashTests {
    @Test(.timeLimit(.minutes(30)))
    func `however a task ends its worker, that task alone fails and says how`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2)
            for ending in Ending.allCases {
                for isAsync in [false, true] {
                    let others = try (0..<20).map { try pool.applyAsync(double, $0) }
                    let lost = try checkThrows(WorkerLost.self) {
                        if isAsync {
                            _ = try pool.applyAsync(endLater, ending).get(timeout: .seconds(30))
                        } else {
                            _ = try pool.applyAsync(end, ending).get(timeout: .seconds(30))
                        }
                    }
                    switch ending {
                    case .trap: try check(lost.message?.contains("a trap in a task") == true, "\(lost)")
                    case .exitZero, .quickExit: try checkEqual(lost.status, .exited(0))
                    case .exitThree: try checkEqual(lost.status, .exited(3))
                    case .abort: try checkEqual(lost.status, .signaled(.abort))
                    case .overflow, .segmentationFault: try checkEqual(lost.status, .signaled(.segmentationFault))
                    case .terminate: try checkEqual(lost.status, .signaled(.terminate))
                    case .index: try check(!trapsHaveWords || lost.message?.contains("out of range") == true, "\(lost)")
                    }
                    try checkEqual(try others.map { try $0.get(timeout: .seconds(30)) }, (0..<20).map(double))
                }
            }
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `a trap on the thread that asynchronous tasks leave behind has its last words too`() async throws {
        try await isolated {
            let pool = try Pool(processes: 1)
            try checkEqual(try pool.applyAsync { () async -> Int in 1 }.get(timeout: .seconds(30)), 1)
            let lost = try checkThrows(WorkerLost.self) {
                _ = try pool.applyAsync(end, .trap).get(timeout: .seconds(30))
            }
            try check(lost.message?.contains("a trap in a task") == true, "\(lost)")
            pool.terminate()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `values that cannot be encoded or decoded fail their call alone, and no worker`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2)
            try checkEqual(try pool.map(0..<10, double), (0..<10).map(double))
            let before = Set(pool.pids)
            for _ in 0..<20 {
                _ = try checkThrows(Unsendable.Refused.self) { _ = try pool.apply { Unsendable() } }
                _ = try checkThrows(Unsendable.Refused.self) { _ = try pool.map(0..<10) { _ in Unsendable() } }
                _ = try checkThrows(Unsendable.Refused.self) {
                    _ = try pool.apply({ (_: Unsendable) in 1 }, Unsendable())
                }
                _ = try checkThrows(OneWay.Refused.self) { _ = try pool.apply { OneWay() } }
                _ = try checkThrows(OneWay.Refused.self) { _ = try pool.apply({ (_: OneWay) in 1 }, OneWay()) }
                _ = try checkThrows(OneWay.Refused.self) { _ = try pool.map([OneWay()]) { _ in 1 } }
                // An error that cannot be decoded is told in words.
                let told = try checkThrows(RemoteError.self) { _ = try pool.apply { () -> Int in throw OneWay() } }
                try check(told.typeName.contains("OneWay"), "\(told)")
                try checkEqual(try pool.map(0..<10, double), (0..<10).map(double))
            }
            try checkEqual(Set(pool.pids), before)
            try checkEqual(pool.statistics.restarts, 0)
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `a task that closes all descriptors costs its worker at most`() async throws {
        try await isolated {
            let pool = try Pool(processes: 1)
            let event = try Event()
            for _ in 0..<3 {
                _ = try? pool.apply { for number in 0..<200 { close(Int32(number)) } }
                // Small things need no descriptor.
                try checkEqual(try pool.applyAsync(double, 4).get(timeout: .seconds(30)), 8)
                // What needs one ends the worker, which can get none any more; the next is whole.
                _ = try? pool.applyAsync({ (event: Event) in event.set() }, event).get(timeout: .seconds(30))
                try pool.applyAsync({ (event: Event) in event.set() }, event).get(timeout: .seconds(30))
                try check(event.isSet)
                event.clear()
            }
            pool.close()
            try pool.join()
        }
    }

    @Test(.timeLimit(.minutes(30)))
    func `a task that ends every worker before it is begun fails after a few, and the pool goes on`() async throws {
        try await isolated {
            let pool = try Pool(processes: 2)
            try checkEqual(try pool.map(0..<10, double), (0..<10).map(double))
            let bomb = Bomb(number: 3, text: "a bomb in a capture")
            for retries in [0, 2] {
                let poison = try pool.applyAsync(options: TaskOptions(retries: retries)) { bomb.number }
                let others = try (0..<50).map { try pool.applyAsync(double, $0) }
                let lost = try checkThrows(WorkerLost.self) { _ = try poison.get(timeout: .seconds(60)) }
                try check(lost.count > 1 && lost.count <= 10, "\(lost.count)")
                try check(lost.message?.contains("a bomb in a capture") == true, "\(lost)")
                try checkEqual(try others.map { try $0.get(timeout: .seconds(60)) }, (0..<50).map(double))
            }
            pool.close()
            try pool.join()
        }
    }
}
