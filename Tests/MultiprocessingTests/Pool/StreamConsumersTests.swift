// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Testing

private func same(_ n: Int) -> Int { n }

/// Several threads or tasks that take the results of one lazy map.
@Suite(.leavesNothing) struct StreamConsumersTests {
    @Test(.timeLimit(.minutes(30)), arguments: [1, 4096])
    func `a thread gets what another one leaves behind that stops after one result`(bufferSize: Int) async throws {
        try await isolated {
            try withPool(processes: 2) { pool in
                for _ in 0..<100 {
                    let results = pool.imap(0..<40, chunkSize: 1, bufferSize: bufferSize, same)
                    let one = try onThreadAsync { try results.next(timeout: .seconds(60)) }
                    var rest: [Int] = []
                    while let result = try results.next(timeout: .seconds(60)) { rest.append(result) }
                    let all = try rest + (one.get().map { [$0] } ?? [])
                    try checkEqual(all.sorted(), Array(0..<40))
                }
            }
        }
    }

    @Test(.timeLimit(.minutes(30)), arguments: [1, 4096])
    func `a task gets what another one leaves behind that stops after one result`(bufferSize: Int) async throws {
        try await apart(timeout: .seconds(90)) {
            try await withPool(processes: 2) { pool in
                for _ in 0..<100 {
                    let results = pool.imapUnordered(0..<40, chunkSize: 1, bufferSize: bufferSize, same)
                    async let one = results.next(timeout: .seconds(60))
                    var rest: [Int] = []
                    while let result = try await results.next(timeout: .seconds(60)) { rest.append(result) }
                    let all = rest + (try await one.map { [$0] } ?? [])
                    try checkEqual(all.sorted(), Array(0..<40))
                }
            }
        }
    }

    @Test(.timeLimit(.minutes(30)), arguments: [nil, 1])
    func `many threads share the results of one map, each result for one of them`(bufferSize: Int?) async throws {
        try await isolated {
            try withPool(processes: 2) { pool in
                let results = pool.imapUnordered(0..<5000, chunkSize: 1, bufferSize: bufferSize, same)
                let consumers = try (0..<6).map { _ in
                    try onThreadAsync {
                        var taken: [Int] = []
                        while let result = try results.next(timeout: .seconds(30)) { taken.append(result) }
                        return taken
                    }
                }
                try checkEqual(try consumers.flatMap { try $0.get() }.sorted(), Array(0..<5000))
            }
        }
    }
}
