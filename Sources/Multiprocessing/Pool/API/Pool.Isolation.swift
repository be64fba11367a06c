// SPDX-License-Identifier: Apache-2.0

extension Pool {
    /// How tasks are kept apart from each other.
    public enum Isolation: Hashable, Sendable {
        /// A worker does one task after the other: what a task leaves in its process, such as global state and leaks, the next ones find. Workers are replaced when they die, and as often as the pool's limits say.
        case perWorker
        /// A fresh process for every task: for every call, every item of a map, or every chunk where its size is given. The next process is made ready while others work, so that a task costs about as much as starting a process,
        /// and `maxTasksPerChild` changes nothing.
        case perTask
    }
}
