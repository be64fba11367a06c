// SPDX-License-Identifier: Apache-2.0

/// Makes a pool, calls `body` with it, and terminates it and waits for its end on the way out, whether `body` returns or throws.
///
/// - Parameters:
///   - processes: How many workers; nil: ``availableCPUCount``.
///   - body: What is done with the pool.
/// - Throws: what making the pool throws, and what `body` throws.
@available(*, noasync)
public func withPool<R>(processes: Int? = nil, _ body: (Pool) throws -> R) throws -> R {
    try withPool(Pool(processes: processes), body)
}

/// Calls `body` with a pool made as its caller wants it, and terminates it and waits for its end on the way out, whether `body` returns or throws.
///
/// ```swift
/// try withPool(Pool(processes: 4, initializer: openTables)) { pool in
///     try pool.map(questions, answer)
/// }
/// ```
///
/// - Parameters:
///   - pool: The pool.
///   - body: What is done with it.
/// - Throws: what making the pool throws, and what `body` throws.
@available(*, noasync)
public func withPool<R>(_ pool: @autoclosure () throws -> Pool, _ body: (Pool) throws -> R) throws -> R {
    let pool = try pool()
    defer {
        pool.terminate()
        // Cannot throw once it is terminated, but in a copy of this process, which has nothing to wait for.
        try? pool.join()
    }
    return try body(pool)
}

/// Makes a pool, calls `body` with it, and terminates it and waits for its end on the way out, whether `body` returns or throws.
///
/// - Parameters:
///   - processes: How many workers; nil: ``availableCPUCount``.
///   - isolation: The actor that `body` runs on: that of the caller.
///   - body: What is done with the pool.
/// - Throws: what making the pool throws, and what `body` throws.
public func withPool<R>(
    processes: Int? = nil,
    isolation: isolated (any Actor)? = #isolation,
    _ body: (Pool) async throws -> sending R
) async throws -> sending R {
    try await withPool(Pool(processes: processes), isolation: isolation, body)
}

/// Calls `body` with a pool made as its caller wants it, and terminates it and waits for its end on the way out, whether `body` returns or throws.
///
/// - Parameters:
///   - pool: The pool.
///   - isolation: The actor that `body` runs on: that of the caller.
///   - body: What is done with it.
/// - Throws: what making the pool throws, and what `body` throws.
public func withPool<R>(
    _ pool: @autoclosure () throws -> Pool,
    isolation: isolated (any Actor)? = #isolation,
    _ body: (Pool) async throws -> sending R
) async throws -> sending R {
    let pool = try pool()
    do {
        let result = try await body(pool)
        pool.terminate()
        await pool.core.waitUntilGone()
        return result
    } catch {
        pool.terminate()
        await pool.core.waitUntilGone()
        throw error
    }
}
