// SPDX-License-Identifier: Apache-2.0
//
// A child that was not forked by the server has nobody who ends it when its parent dies: PR_SET_PDEATHSIG goes by the forking thread, which may end at any time. So a process has
// a pipe whose write end nobody else holds, and its daemon children ask the kernel (F_SETSIG) for SIGKILL when it is closed, as it is by any death. No thread waits, nothing polls.

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// The pipe that tells children of this process' death.
final class Lifeline: Sendable {
    private let readEnd: OwnedDescriptor
    private let writeEnd: OwnedDescriptor

    /// Makes the pipe.
    init() throws(SystemError) {
        var ends: [Int32] = [-1, -1]
        guard mp_pipe(&ends) == 0 else { throw SystemError("making a lifeline") }
        readEnd = OwnedDescriptor(owning: ends[0])
        writeEnd = OwnedDescriptor(owning: ends[1])
        ForkLock.add(writeEnd.number)
    }

    deinit {
        ForkLock.remove(writeEnd.number)
    }

    /// The end to be sent to children.
    var childEnd: Int32 { readEnd.number }

    /// Ties this process to the lifeline with that index among `descriptors`.
    static func arm(from descriptors: CarriedDescriptors, index: UInt8) throws {
        guard let number = descriptors.take(Int(index)) else {
            throw SystemError(code: EBADMSG, operation: "receiving a lifeline")
        }
        let received = OwnedDescriptor(owning: number)
        try arm(received.number)
        // Open up to here.
        _ = consume received
    }

    /// Ties this process to the lifeline `descriptor`: it is killed when the last write end is closed.
    static func arm(_ descriptor: Int32) throws {
        // Who gets the signal is a property of the open file, which brothers and sisters share: open it anew.
        let own = try OwnedDescriptor(
            checking: open("/proc/self/fd/\(descriptor)", O_RDONLY | O_CLOEXEC),
            "opening a lifeline"
        )
        guard setSignal(SIGKILL, of: own.number) else { throw SystemError("arming a lifeline") }
        // It may have been cut before it was armed.
        if Polling.isReadable(own.number) { _exit(1) }
        // Open to the end of the process.
        _ = own.release()
    }

    /// Has the kernel send that signal to this process when the other end of a socket or pipe closes or sends anything (fcntl(2)); nil: no more. False when it cannot, with `errno`.
    static func setSignal(_ signal: Int32?, of descriptor: Int32) -> Bool {
        let flags = fcntl(descriptor, F_GETFL)
        guard flags >= 0 else { return false }
        guard let signal else { return fcntl(descriptor, F_SETFL, flags & ~O_ASYNC) == 0 }
        let setSignal: Int32 = 10  // F_SETSIG, which the Glibc module lacks
        return fcntl(descriptor, F_SETOWN, getpid()) == 0 && fcntl(descriptor, setSignal, signal) == 0
            && fcntl(descriptor, F_SETFL, flags | O_ASYNC) == 0
    }
}
