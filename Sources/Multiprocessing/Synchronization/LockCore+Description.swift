// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives

extension LockCore {
    /// Who holds the lock at this moment: nobody ("none"), this process (with the thread, unless it is the main one), or another process.
    var ownerDescription: String {
        guard let owner = lock.owner else { return "none" }
        guard owner.process == getpid() else {
            return owner.process > 0 ? "process \(owner.process)" : "another process"
        }
        switch owner.thread {
        case 0: return "this process|a task"
        case UInt32(getpid()): return "this process"
        case UInt32(mp_thread_id()): return "this process|this thread"
        default: return "this process|thread \(owner.thread)"
        }
    }
}
