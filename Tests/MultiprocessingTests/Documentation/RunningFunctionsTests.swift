// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Testing

private struct Settings: Codable { var factor = 3 }

private struct Particle: BitwiseCodable { var x, y, mass: Double }

private struct OutOfStock: Error, Codable, Equatable { var item: String }

private final class Cache: Sendable { let size = 10 }

private enum Tables {
    static let words = (0..<1000).map(String.init)
}

/// The code of "Running functions in other processes".
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct RunningFunctionsTests {
    @Test func `captures are carried along`() async throws {
        let settings = Settings()
        let twice: @Sendable (Int) -> Int = { $0 * 2 }
        let n = try await ChildProcess.run { twice(7) * settings.factor }
        #expect(n == 42)
    }

    @Test func `arrays of bits are carried as they are`() async throws {
        let particles = (0..<100_000).map { Particle(x: Double($0), y: 0, mass: 1) }
        let mass = try await ChildProcess.run { particles.reduce(0) { $0 + $1.mass } }
        #expect(mass == 100_000)
    }

    @Test func `an argument needs no metadata of its own`() async throws {
        let settings = Settings()
        let n = try await ChildProcess.run(target: { (settings: Settings) in settings.factor }, arguments: settings)
        #expect(n == 3)
    }

    @Test func `an error is caught by its type`() async throws {
        do {
            let price: Int = try await ChildProcess.run { throw OutOfStock(item: "tea") }
            Issue.record("there is a price: \(price)")
        } catch let error as OutOfStock {
            #expect(error.item == "tea")
        }
    }

    @Test func `what cannot be carried is named`() async throws {
        let cache = Cache()
        do {
            let size = try await ChildProcess.run { cache.size }
            Issue.record("there is a size: \(size)")
        } catch let error as FunctionNotPortable {
            #expect(error.code == .captureNotCodable)
            #expect(error.typeName == "Cache")
        }
    }

    @Test func `work is done once for all children`() async throws {
        // In a process whose server does not run yet.
        let count = try await ChildProcess.run {
            try ForkServer.preload { _ = Tables.words }
            return try ChildProcess.run { Tables.words.count }
        }
        #expect(count == 1000)
    }
}
