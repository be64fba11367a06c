// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
@_exported public import MultiprocessingFunctions
@_exported public import MultiprocessingPrimitives
@_exported public import MultiprocessingWireCoding
internal import Synchronization

@_exported public import class MultiprocessingPrimitives.Semaphore

/// What concerns the package as a whole.
public enum Multiprocessing {
    private static let bootstrapped = Atomic<Bool>(false)

    /// Whether `bootstrap` was called.
    static var isBootstrapped: Bool {
        bootstrapped.load(ordering: .relaxed)  // set once, early, by the only thread
    }

    /// Takes over the processes that this package starts. The first line of `main` where the C library is not glibc; elsewhere it does nothing, because a hook before `main` has done it.
    ///
    /// Returns only in a process that the user started.
    public static func bootstrap() {
        mp_serve_if_marked()
        bootstrapped.store(true, ordering: .relaxed)  // as above
    }
}
