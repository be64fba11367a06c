// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingPrimitives

extension LockCore {
    /// Who holds the lock at this moment: "none", this process by its name (with the thread, unless it is the main one), or another process.
    var ownerDescription: String {
        guard let owner = lock.owner else { return "none" }
        guard owner.process == getpid() else {
            return owner.process > 0 ? "process \(owner.process)" : "another process"
        }
        let name = ProcessIdentity.current.name
        switch owner.thread {
        case 0: return "\(name)|task"
        case UInt32(getpid()): return name
        default: return "\(name)|thread \(owner.thread)"
        }
    }
}
