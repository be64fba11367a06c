// SPDX-License-Identifier: Apache-2.0

/// How much may wait in a pool until a worker takes it. The last task that is let in may go beyond.
public struct QueueLimit: Hashable, Sendable {
    /// Calls, and chunks of maps.
    public var tasks: Int
    /// Bytes of encoded arguments.
    public var bytes: Int

    /// Creates a limit; without arguments that of a pool that names none: a million tasks, a gibibyte.
    public init(tasks: Int = 1 << 20, bytes: Int = 1 << 30) {
        self.tasks = tasks
        self.bytes = bytes
    }

    /// Throws unless something may wait.
    func check() throws {
        _ = try (Pool.checked(tasks, "queueLimit.tasks"), Pool.checked(bytes, "queueLimit.bytes"))
    }
}
