// SPDX-License-Identifier: Apache-2.0
//
// The first `weak` reference to an object moves its reference count out of it, into a table of its own, for good: from then on each retain and release of the object takes several times as long, whoever does it. For an object
// that is retained many times in each call that is far too much. An unowned count lies in the object beside the strong one, and asking whether the object still lives changes nothing.

internal import CMultiprocessing

/// A reference that does not keep an object alive, and tells whether it still is; as `weak`, but it leaves the object's reference count where it is.
package final class FaintReference: Sendable {
    /// Where the object is, or was: its memory is not given back before this reference is gone.
    ///
    /// `nonisolated(unsafe)` is safe because it never changes, and what is done with it is atomic.
    private nonisolated(unsafe) let address: OpaquePointer

    /// Refers to `object`.
    package init(_ object: AnyObject) {
        address = OpaquePointer(Unmanaged.passUnretained(object).toOpaque())
        _ = mp_swift_unownedRetain(address)
    }

    deinit {
        mp_swift_unownedRelease(address)
    }

    /// The object, kept alive as long as the caller has it; nil once its last strong reference is gone. Any thread may ask.
    package var object: AnyObject? {
        guard let object = mp_swift_tryRetain(address) else { return nil }
        // The count that was taken goes to the caller.
        return Unmanaged<AnyObject>.fromOpaque(UnsafeRawPointer(object)).takeRetainedValue()
    }
}
