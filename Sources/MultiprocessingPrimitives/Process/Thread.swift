// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc

/// Threads of this package's own: detached, small, and deaf to signals, which are the program's.
package enum Thread {
    /// What a new thread is to run.
    private final class Body {
        let run: @Sendable () -> Void

        init(_ run: @escaping @Sendable () -> Void) {
            self.run = run
        }
    }

    /// Starts a thread named `name` (at most 15 bytes are shown) that runs `body`.
    ///
    /// - Parameters:
    ///   - stackSize: The size of its stack in bytes; without it enough for a thread that only waits and hands on.
    ///   - catchesFaults: Whether handlers of faults of its own run on it; otherwise a fault ends the process without one.
    /// - Throws: `SystemError` when the system gives no further thread.
    package static func start(
        name: StaticString,
        stackSize: Int = 256 * 1024,
        catchesFaults: Bool = false,
        _ body: @escaping @Sendable () -> Void
    ) throws(SystemError) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        pthread_attr_setstacksize(
            &attributes,
            max(stackSize, Int(sysconf(Int32(_SC_THREAD_STACK_MIN))))
        )

        let argument = Unmanaged.passRetained(
            Body {
                name.withUTF8Buffer { _ = mp_set_thread_name($0.baseAddress) }
                body()
            }
        )
        // A new thread starts with its creator's signal mask.
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        if catchesFaults {
            for signal in [SIGILL, SIGTRAP, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGSYS] { sigdelset(&all, signal) }
        }
        pthread_sigmask(SIG_SETMASK, &all, &before)
        var thread = pthread_t()
        let error = pthread_create(
            &thread,
            &attributes,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            },
            argument.toOpaque()
        )
        pthread_sigmask(SIG_SETMASK, &before, nil)
        guard error != 0 else { return }
        argument.release()
        throw SystemError(code: error, operation: "starting a thread")
    }
}
