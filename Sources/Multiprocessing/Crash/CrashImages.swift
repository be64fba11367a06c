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
                to: mp_image_range(
                    start: image.addresses.lowerBound,
                    end: image.addresses.upperBound,
                    base: image.base,
                    identity: image.identity
                )
            )
        }
        return UnsafeBufferPointer(memory)
    }()

    /// Makes the table now.
    static func prepare() {
        _ = ranges
    }

    private static let isInstalled: Bool =
        mp_install_crash_reporter(MessageKind.crash.rawValue, ranges.baseAddress, ranges.count) == 0

    /// Sees to it that a crash of this process, and of every copy of it, is reported to where `mp_set_crash_socket` says.
    static func installReporter() {
        // Where a handler cannot be installed a crash is told by its signal alone.
        _ = isInstalled
    }
}
