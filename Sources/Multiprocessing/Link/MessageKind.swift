// SPDX-License-Identifier: Apache-2.0

/// What a message between a process and its children or their server is about.
enum MessageKind: UInt32 {
    // On a child's link.

    /// To a child: what to run, and as what.
    case job = 1
    /// From a child: how its body ended.
    case outcome = 2
    /// From a child, right before its end: the exit code.
    case exiting = 3
    /// From a child, out of its signal handler: why it dies.
    case crash = 4

    // On the fork server's control socket.

    /// To a new process: be the server.
    case serve = 16
    /// To the server: make more spares; and which spare was just taken.
    case order = 17
    /// From the server: it is there, of that build.
    case ready = 18
    /// From the server: a spare, with its link and pidfd.
    case spare = 19
    /// From the server: a child ended, with that wait status.
    case exited = 20
    /// From the server: something failed, in words.
    case failed = 21
    /// Descriptors of the next message, when they are more than one packet carries.
    case descriptors = 22

    // At the door of a manager.

    /// From a new client: an end of a connection.
    case connect = 32
}
