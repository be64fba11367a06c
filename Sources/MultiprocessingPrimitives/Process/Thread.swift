// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc

/// Threads of this package's own: small, and deaf to signals, which are the program's.
package enum Thread {
    /// What a new thread is to run.
    private final class Body: Sendable {
        let run: @Sendable () -> Void

        init(_ run: @escaping @Sendable () -> Void) {
            self.run = run
        }
    }

    /// Starts a detached thread named `name` (at most 15 bytes are shown) that runs `body`.
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
        let argument = Unmanaged.passRetained(
            Body {
                name.withUTF8Buffer { _ = mp_set_thread_name($0.baseAddress) }
                body()
            }
        )
        let run: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { argument in
            guard let argument else { return nil }
            Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
            return nil
        }
        let (_, error) = create(
            argument.toOpaque(),
            isDetached: true,
            stackSize: stackSize,
            catchesFaults: catchesFaults,
            run
        )
        guard error != 0 else { return }
        argument.release()
        throw SystemError(code: error, operation: "starting a thread")
    }

    /// Runs `body` on `count` threads at the same time, of which the calling one is the first, and returns when it has returned on all. Where the system gives no further thread they are fewer.
    ///
    /// - Parameter body: Calls nothing that is the program's, which might look where it runs.
    package static func together(_ count: Int, name: StaticString, _ body: @escaping @Sendable () -> Void) {
        let named = Body {
            name.withUTF8Buffer { _ = mp_set_thread_name($0.baseAddress) }
            body()
        }
        var helpers: [pthread_t] = []
        while helpers.count < count - 1 {
            // Nothing is freed there, since memory of its own costs a thread more than its start.
            let (helper, error) = create(
                Unmanaged.passUnretained(named).toOpaque(),
                isDetached: false,
                stackSize: 256 * 1024,
                catchesFaults: false,
                { argument in
                    guard let argument else { return nil }
                    Unmanaged<Body>.fromOpaque(argument).takeUnretainedValue().run()
                    return nil
                }
            )
            guard error == 0 else { break }
            helpers.append(helper)
        }
        body()
        withExtendedLifetime(named) {
            for helper in helpers { pthread_join(helper, nil) }
        }
    }

    /// Starts a thread that is deaf to signals; returns it, and 0 or the number of the error.
    private static func create(
        _ argument: UnsafeMutableRawPointer,
        isDetached: Bool,
        stackSize: Int,
        catchesFaults: Bool,
        _ run: @escaping @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer?
    ) -> (thread: pthread_t, error: Int32) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        if isDetached { pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED)) }
        pthread_attr_setstacksize(
            &attributes,
            max(stackSize, Int(sysconf(Int32(_SC_THREAD_STACK_MIN))))
        )
        // A new thread starts with its creator's signal mask.
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        if catchesFaults {
            for signal in [SIGILL, SIGTRAP, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGSYS] { sigdelset(&all, signal) }
        }
        pthread_sigmask(SIG_SETMASK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        var thread = pthread_t()
        let error = pthread_create(&thread, &attributes, run, argument)
        return (thread, error)
    }
}
