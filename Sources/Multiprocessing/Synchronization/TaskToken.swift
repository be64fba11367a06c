// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

/// Tells tasks of this process apart, as holders of locks.
enum TaskToken {
    /// The token of the calling task; nil outside of tasks.
    static var current: UInt64? {
        withUnsafeCurrentTask { task in
            // The hash of a task is that of its address, which no other living task has; a collision of two hashes in 2^63 is not guarded against.
            task.map { UInt64(truncatingIfNeeded: $0.hashValue) | 1 }
        }
    }

    /// The calling task as the holder of a lock.
    static var holder: LockHolder {
        // Asynchronous code always runs in a task.
        current.map { .task($0) } ?? .thread
    }
}
