// SPDX-License-Identifier: Apache-2.0

/// What a message between a process and its children or their server is about.
enum MessageKind: UInt32 {
    // On a child's link.

    /// To a child: what to run, and as what.
    case job = 1
    /// To a child that waits: its job will come in a moment.
    case soon = 6
    /// From a child: how its body ended.
    case outcome = 2
    /// From a child, right before its end: the exit code; and whether nobody else can see anything of what is left to do.
    case exiting = 3
    /// From a child, out of its signal handler: why it dies.
    case crash = 4

    /// From a child of the server, first of all: it is there, as that process. From the server, instead: `failed`.
    case forked = 5

    // On the fork server's control socket.

    /// To a new process: be the server.
    case serve = 16
    /// To the server: make a child at the other end of this link.
    case order = 17
    /// From the server: it is ready, of that build.
    case ready = 18
    /// To the server: somebody waits for that child.
    case hurry = 19
    /// To the server: kill that child.
    case kill = 23
    /// From the server: the child of an order has ended, with that wait status, or will never be.
    case exited = 20
    /// From the server: something failed, in words.
    case failed = 21
    /// Descriptors of the next message, when they are more than one packet carries.
    case descriptors = 22

    // At the door of a manager.

    /// From a new client: an end of a connection.
    case connect = 32

    /// Whether descriptors that were sent ahead may belong to it. What a dying process says comes in between.
    var takesDescriptors: Bool { self != .crash && self != .exiting }
}
