// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Keeps values nested too deeply from overflowing the thread's stack.
///
/// A limit on the depth alone would not do: what a level costs is up to user code, and threads have stacks of 512 KiB and of 8 MiB. So from some depth on, the space left on
/// this very stack is looked at, too.
struct StackGuard {
    /// The most levels of values within values.
    static let maximumDepth = 512
    /// The depth from which on the stack is looked at.
    private static let uncheckedDepth = 8
    /// How much of the stack is left untouched, for user code and the unwinding of an error.
    private static let reserve: UInt = 96 * 1024

    /// The number of values that are under way, each inside the other.
    private(set) var depth = 0

    /// Goes one level down; throws when it is too deep.
    @inline(__always)
    mutating func enter() throws {
        depth &+= 1
        if depth > Self.uncheckedDepth { try check() }
    }

    /// Comes one level up.
    @inline(__always)
    mutating func leave() {
        depth &-= 1
    }

    /// Compares the depth and the stack with their limits.
    @inline(never)
    private mutating func check() throws {
        guard depth <= Self.maximumDepth else {
            depth -= 1
            throw WireCodingError(.tooDeep, "values are nested more than \(Self.maximumDepth) deep, or in a cycle")
        }

        var here: UInt8 = 0
        let address = withUnsafeMutablePointer(to: &here) { UInt(bitPattern: $0) }
        // Wraps to something huge where a sanitizer keeps variables on a stack of its own: then only the depth counts.
        guard address &- threadStackStart() >= Self.reserve else {
            depth -= 1
            throw WireCodingError(
                .tooDeep,
                "values are nested \(depth) deep, or in a cycle, and the thread's stack is used up"
            )
        }
    }
}

/// Where each thread remembers the lowest address of its stack. Asking the system costs the main thread a look through `/proc/self/maps`.
private let stackStartKey: pthread_key_t? = {
    var key = pthread_key_t()
    return pthread_key_create(&key, nil) == 0 ? key : nil
}()

/// The C library's way to ask for a thread's attributes. Found by name, because its header shows it to GNU programs only; nil in an executable without a dynamic
/// linker, where only the depth counts.
private let readAttributes: (@convention(c) (pthread_t, UnsafeMutablePointer<pthread_attr_t>) -> Int32)? = {
    guard let symbol = dlsym(nil, "pthread_getattr_np") else { return nil }
    return unsafeBitCast(symbol, to: (@convention(c) (pthread_t, UnsafeMutablePointer<pthread_attr_t>) -> Int32).self)
}()

/// Returns the lowest address of this thread's stack; 0 when the system does not say.
private func threadStackStart() -> UInt {
    guard let key = stackStartKey else { return 0 }
    if let known = pthread_getspecific(key) { return UInt(bitPattern: known) }

    var attributes = pthread_attr_t()
    guard let readAttributes, readAttributes(pthread_self(), &attributes) == 0 else { return 0 }
    defer { pthread_attr_destroy(&attributes) }
    var start: UnsafeMutableRawPointer?
    var size = 0
    guard pthread_attr_getstack(&attributes, &start, &size) == 0 else { return 0 }
    pthread_setspecific(key, start)
    return UInt(bitPattern: start)
}
