// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

private func double(_ n: Int) -> Int { 2 * n }

/// Does what a stray pointer does: writes over what this worker shares with its pool, and returns how many bytes that were.
private func overwrite(_ byte: UInt8, from first: Int, to end: Int) -> Int {
    for line in Proc.lines("/proc/self/maps") where line.contains("memfd:multiprocessing-worker") {
        let bounds = line.prefix { $0 != " " }.split(separator: "-").compactMap { UInt(String($0), radix: 16) }
        guard bounds.count == 2, let base = UnsafeMutableRawPointer(bitPattern: bounds[0]) else { continue }
        let size = min(Int(bounds[1] - bounds[0]), end) - first
        memset(base + first, Int32(byte), size)
        return size
    }
    return 0
}

/// Workers that write where they should not.
@Suite(.leavesNothing) struct PoolOverwriteTests {
    @Test(.timeLimit(.minutes(30)), arguments: [0x00, 0x01, 0x7f, 0x80, 0xff] as [UInt8])
    func `a worker that overwrites what it shares with its pool costs its own task at most`(
        _ byte: UInt8
    ) async throws {
        try await isolated {
            let pool = try Pool(processes: 2)
            // All of it; the lanes' words; what is written there; the status line.
            for (first, end) in [(128, 1 << 20), (128, 512), (4096, 1 << 20), (512, 4096), (0, 4096)] {
                // Something has gone through the lanes before.
                try checkEqual(try pool.map(0..<100, chunkSize: 1, double), (0..<100).map(double))
                let result = try pool.applyAsync({ overwrite($0, from: $1, to: $2) }, byte, first, end)
                do {
                    try check(try result.get(timeout: .seconds(60)) > 0)
                } catch is WorkerLost {}
                _ = "\(pool.statistics)"
                // It may have been found out by now, or be when it gets the next task.
                let again = TaskOptions(retries: 5)
                try checkEqual(try pool.map(0..<100, chunkSize: 1, options: again, double), (0..<100).map(double))
                let others = try (0..<20).map { try pool.applyAsync(options: again, double, $0) }
                try checkEqual(try others.map { try $0.get(timeout: .seconds(60)) }, (0..<20).map(double))
            }
            pool.terminate()
            try pool.join()
        }
    }
}
