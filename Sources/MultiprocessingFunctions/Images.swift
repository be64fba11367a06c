// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

/// The images of this process, known to all threads.
enum Images {
    private static let known = PlainMutex(ofProcess: KnownImages())

    /// The identity of the program itself: processes with different ones cannot exchange functions.
    static let build: UInt64 = known.withLock { $0.executable?.identity ?? 0 }

    /// Returns the image that `address` lies in.
    static func image(containing address: UInt) -> Image? {
        known.withLock { $0.lookUp { $0.image(containing: address) } }
    }

    /// Returns the image with that identity.
    static func image(withIdentity identity: UInt64) -> Image? {
        known.withLock { $0.lookUp { $0.image(withIdentity: identity) } }
    }
}

/// The table of images, taken anew when something is asked for that it does not have and a library was loaded or unloaded since.
///
/// What closures capture is asked for as well, and mostly lies in no image; taking stock each time would cost more than all the rest of a function.
struct KnownImages: Sendable {
    private var table: ImageTable
    /// How often the loader had changed the images when the table was taken.
    private var changes: UInt64
    /// How often stock was taken.
    private(set) var readings = 1

    /// Takes stock of what is loaded now.
    init() {
        // First: what is loaded in between is then looked for once more, not missed.
        changes = LoadedImage.changes
        table = ImageTable()
    }

    /// The program itself.
    var executable: Image? { table.executable }

    /// Returns what `find` finds among the images there are now.
    mutating func lookUp(_ find: (ImageTable) -> Image?) -> Image? {
        if let image = find(table) { return image }
        let changesNow = LoadedImage.changes
        guard changesNow != changes else { return nil }
        (changes, table, readings) = (changesNow, ImageTable(), readings + 1)
        return find(table)
    }
}

/// What tells builds of this program apart.
package enum Build {
    /// The same number in every process that runs this build of the program.
    package static var identity: UInt64 { Images.build }
}

/// What other rooms may know of the loaded images.
package enum ImageLookup {
    /// An address range and what it stands for in any process of this build.
    package struct Range {
        /// The addresses of the image here.
        package let addresses: Swift.Range<UInt>
        /// What the loader added to the addresses in its file.
        package let base: UInt
        /// The same number in every process that loaded the same build of it.
        package let identity: UInt64
    }

    /// All images there are now.
    package static var ranges: [Range] {
        ImageTable().all.map { Range(addresses: $0.range, base: $0.base, identity: $0.identity) }
    }

    /// Returns the file of the image with that identity (empty for the program itself), or nil when it is not loaded here.
    package static func file(ofImage identity: UInt64) -> String? {
        Images.image(withIdentity: identity)?.name
    }
}
