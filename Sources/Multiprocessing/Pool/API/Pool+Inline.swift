// SPDX-License-Identifier: Apache-2.0

extension Pool {
    /// A pool without processes, for debugging: each call is carried out on the thread that makes it.
    ///
    /// Breakpoints, profilers and sanitizers see the tasks where the caller is. Functions, arguments and results are encoded and decoded as for processes, so what cannot be carried throws here as it does there. A call without
    /// waiting, such as `applyAsync`, is done when it returns; asynchronous functions run in a task of this process.
    ///
    /// What processes give is not there: a crash of a task is one of the program, and a task cannot be ended. Time limits hold afterwards: a call that took too long fails once it has returned.
    ///
    /// Each use makes another pool.
    public static var inline: Pool {
        get throws {
            var specification = WorkerSpecification(count: 1)
            specification.name = "Inline"
            return try Pool(InlineEngine(), specification)
        }
    }
}
