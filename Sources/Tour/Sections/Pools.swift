// SPDX-License-Identifier: Apache-2.0

internal import Multiprocessing

private func square(_ n: Int) -> Int { n * n }
private func cube(_ n: Int) -> Int { n * n * n }
private func double(_ n: Int) -> Int { n * 2 }

// MARK: - 4. Using a process pool

/// Has a few workers call a function for each of several numbers; the results come in the order of the numbers.
func pools() throws {
    try withPool(processes: 4) { pool in print(try pool.map([1, 2, 3, 4, 5], square)) }
}

// MARK: - 5. A single task: apply

/// Has a worker make one call, and waits for it.
func singleCalls() throws {
    try withPool(processes: 2) { pool in print(try pool.apply(cube, 3)) }
}

// MARK: - 6. Without blocking: applyAsync

/// Has a worker make one call, whose result is asked for later.
func asynchronousCalls() throws {
    try withPool(processes: 2) { pool in
        let result = try pool.applyAsync(double, 5)
        print(try result.get())
    }
}
