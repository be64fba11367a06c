// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Synchronization

/// Who this process is, as its parent told it.
struct ProcessIdentity: Sendable {
    /// The process that started this one.
    struct Parent: Sendable {
        let name: String
        let processIdentifier: Int32
        /// A descriptor for the parent itself, which its pid is not once it is gone. Open as long as this process lives.
        let pidfd: Int32?
    }

    /// The name, "MainProcess" where the user started the program.
    let name: String
    /// Which child of which child this is: the numbers of the default names along the way.
    let path: [Int]
    /// Whether it ends with its parent.
    let isDaemon: Bool
    /// Nil in the main process.
    let parent: Parent?

    private static let stored = PlainMutex(
        ofProcess: ProcessIdentity(name: "MainProcess", path: [], isDaemon: false, parent: nil)
    )

    /// The identity of the current process. Set once, before the body runs.
    static var current: ProcessIdentity {
        get { stored.withLock { $0 } }
        set { stored.withLock { $0 = newValue } }
    }

    private static let childCount = Atomic<Int>(0)

    private static let poolNumber = Atomic<Int>(0)

    /// Counts the pools of this process, from 1.
    static func nextPoolNumber() -> Int {
        // Relaxed: only has to be unique.
        poolNumber.add(1, ordering: .relaxed).newValue
    }

    /// Returns the number of the next child of this process, from 1.
    static func nextChildNumber() -> Int {
        childCount.add(1, ordering: .relaxed).newValue  // only has to be unique
    }

    /// Makes this process the child that it is: a copy of its parent counts its own children.
    static func become(_ identity: ProcessIdentity) {
        current = identity
        childCount.store(0, ordering: .relaxed)  // nobody else runs yet
    }

    /// Returns the default name of the `number`-th child of this process, as Python forms it: "Process-2", and "Process-2:1" for the first child of that.
    func childName(_ number: Int) -> String {
        "Process-" + (path + [number]).map(String.init).joined(separator: ":")
    }
}
