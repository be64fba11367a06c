// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc

/// Which signals the fork server and its children hear.
enum ServerSignals {
    /// Blocks the terminal's signals (Ctrl-C and its like), which are for the program and its children, not for the server between them.
    ///
    /// Blocked rather than ignored: one that is sent to a child before it got as far as `becomeChild` is delivered then.
    static func blockTerminal() {
        var signals = sigset_t()
        sigemptyset(&signals)
        for signal in [SIGINT, SIGQUIT, SIGHUP, SIGTSTP, SIGTTIN, SIGTTOU] { sigaddset(&signals, signal) }
        sigprocmask(SIG_BLOCK, &signals, nil)
    }

    /// Lets the end of a child interrupt `mp_wait_readable_or_child`, and nothing else.
    static func watchChildren() {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGCHLD)
        sigprocmask(SIG_BLOCK, &signals, nil)
        // A handler of any kind makes the signal interrupt the wait; ignored, as it is by default, it would not.
        setAction { _ in }
    }

    /// Undoes in a child what the others did.
    static func becomeChild() {
        setAction(SIG_DFL)
        var none = sigset_t()
        sigemptyset(&none)
        sigprocmask(SIG_SETMASK, &none, nil)
    }

    /// Not by `signal(3)`, which the server never calls otherwise: the loader would look for it in every child.
    private static func setAction(_ handler: (@convention(c) (Int32) -> Void)?) {
        var action = sigaction()
        action.__sigaction_handler.sa_handler = handler
        sigaction(SIGCHLD, &action, nil)
    }
}
