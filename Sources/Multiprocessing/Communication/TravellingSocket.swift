// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import MultiprocessingPrimitives

/// The copy of a connection's socket that goes to other processes.
///
/// What is sent may wait to be, as the arguments of a call for which no worker is free; when the connection is closed here meanwhile, the number of its socket stands for something else. There is one copy for all that is
/// under way at a time, so that a function that captured a connection is known again by its descriptors.
final class TravellingSocket: Sendable {
    private struct Copy: Sendable {
        weak var descriptor: SharedDescriptor?
    }

    private final class Place: Sendable {
        let copy = PlainMutex(Copy())
    }

    private let place = ForkLocal { Place() }

    /// Returns a copy of the socket with that number, which has its own.
    ///
    /// - Parameter isClosed: Whether the connection was closed, after which the number is not the socket's any more.
    /// - Throws: `ConnectionError` (`closed`); `SystemError` when descriptors are short.
    func copy(of number: Int32, unless isClosed: () -> Bool) throws -> SharedDescriptor {
        try place.value.copy.withLock { copy in
            if let known = copy.descriptor, !isClosed() { return known }
            let made = try OwnedDescriptor(checking: mp_duplicate(number), "sending a connection")
            // Closed before this, it may be a copy of something else.
            if isClosed() { throw ConnectionError(.closed, "this handle of the connection was closed") }
            let shared = SharedDescriptor(made)
            copy.descriptor = shared
            return shared
        }
    }
}
