// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives

/// A process of this program's executable that waits to be told to serve.
///
/// The start of a program takes longer than all else that precedes a first child, so it is begun first.
final class ServerProcess: Sendable {
    /// Its pid.
    let processIdentifier: Int32
    /// With whose rights it runs.
    let credentials = Credentials.current
    /// What it and its children are to share with this process.
    let page: OrderPage
    /// The descriptor of that.
    let pageMemory: OwnedDescriptor
    /// The socket to it.
    let control: Link
    /// Its pidfd.
    let pidfd: OwnedDescriptor

    /// Starts the process.
    init() throws {
        pageMemory = try OrderPage.makeMemory()
        page = try OrderPage(mapping: pageMemory.number)
        let pair = try Link.pair()
        let pid = try ProgramImage.start(pair.there.socket.number)
        do {
            // Our own child, not reaped yet: the pid is its own.
            pidfd = try OwnedDescriptor(checking: mp_pidfd_open(pid), "opening a pidfd of the fork server")
        } catch {
            // It cannot be watched, so it must not live.
            Self.end(pid)
            throw error
        }
        processIdentifier = pid
        control = pair.here
        ForkLock.add(control.socket.number)
    }

    deinit {
        ForkLock.remove(control.socket.number)
    }

    /// Ends the process, which nobody watches.
    func end() {
        Self.end(processIdentifier)
    }

    private static func end(_ pid: Int32) {
        kill(pid, SIGKILL)
        waitpid(pid, nil, 0)
    }
}
