// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

/// The current table of images, taken anew when something is asked for that it does not have (a library may have been loaded since).
enum Images {
    private static let table = PlainMutex(ImageTable())

    /// The identity of the program itself: processes with different ones cannot exchange functions.
    static let build: UInt64 = table.withLock { $0.executable?.identity ?? 0 }

    /// Returns the image that `address` lies in.
    static func image(containing address: UInt) -> Image? {
        lookUp { $0.image(containing: address) }
    }

    /// Returns the image with that identity.
    static func image(withIdentity identity: UInt64) -> Image? {
        lookUp { $0.image(withIdentity: identity) }
    }

    private static func lookUp(_ find: (ImageTable) -> Image?) -> Image? {
        table.withLock { table in
            if let image = find(table) { return image }
            table = ImageTable()
            return find(table)
        }
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
