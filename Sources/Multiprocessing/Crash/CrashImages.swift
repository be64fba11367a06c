// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import MultiprocessingFunctions

/// The table of images that a crash handler reads. Made once, and never freed: a crash may come at any time.
///
/// A fork server makes it before it forks, so that its children find it made.
enum CrashImages {
    // `nonisolated(unsafe)` is safe because the memory is written once, before it is published by the lazy initialisation, and never again.
    private nonisolated(unsafe) static let ranges: UnsafeBufferPointer<mp_image_range> = {
        let images = ImageLookup.ranges
        let memory = UnsafeMutableBufferPointer<mp_image_range>.allocate(capacity: images.count)
        for (index, image) in images.enumerated() {
            memory.initializeElement(
                at: index,
                to: mp_image_range(start: image.addresses.lowerBound, end: image.addresses.upperBound, base: image.base, identity: image.identity)
            )
        }
        return UnsafeBufferPointer(memory)
    }()

    /// Calls `body` with the table, which stays where it is.
    static func withRanges(_ body: (UnsafeBufferPointer<mp_image_range>) -> Void) {
        body(ranges)
    }
}
