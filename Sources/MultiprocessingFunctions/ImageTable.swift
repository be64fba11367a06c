// SPDX-License-Identifier: Apache-2.0
//
// Where code and constants lie. The same executable and libraries are loaded at other addresses in every process, so a pointer into one of them is sent as (which image, how
// far from its base). An image is known by its build id, which the linker computed from its content; one without a build id by its file name and size in memory.

internal import MultiprocessingPrimitives

/// One loaded executable or library.
struct Image: Sendable {
    /// What the loader added to the addresses in the file.
    let base: UInt
    /// All of its memory.
    let range: Range<UInt>
    /// Its executable memory.
    let code: Range<UInt>
    /// The file it was loaded from; empty for the program itself.
    let name: String
    /// The same number in every process that loaded the same build of the image.
    let identity: UInt64

    /// Reads what the loader tells of an image.
    init(_ image: LoadedImage) {
        base = image.base
        range = image.range
        code = image.code
        name = image.name
        var hash = ReferenceHash()
        if let buildID = image.buildID, !buildID.isEmpty {
            for byte in buildID { hash.mix(UInt64(byte)) }
        } else {
            for byte in name.utf8 { hash.mix(UInt64(byte)) }
            hash.mix(UInt64(range.count))
        }
        identity = hash.value
    }
}

/// The images of this process.
struct ImageTable: Sendable {
    /// Sorted by address.
    private let images: [Image]

    /// All images, by address.
    var all: [Image] { images }

    /// The program itself.
    let executable: Image?

    /// Takes stock of what is loaded now.
    init() {
        var found: [Image] = []
        LoadedImage.forEach { image in
            found.append(Image(image))
            return true
        }
        executable = found.first
        images = found.sorted { $0.base < $1.base }
    }

    /// Returns the image that `address` lies in. O(log n).
    func image(containing address: UInt) -> Image? {
        var low = 0
        var high = images.count
        while low < high {
            let middle = (low + high) / 2
            if images[middle].range.upperBound <= address { low = middle + 1 } else { high = middle }
        }
        guard low < images.count, images[low].range.contains(address) else { return nil }
        return images[low]
    }

    /// Returns the image with that identity. O(n).
    func image(withIdentity identity: UInt64) -> Image? {
        images.first { $0.identity == identity }
    }
}

/// A number that depends on all numbers mixed in and on their order.
///
/// Not cryptographic: it tells damage and mix-ups from what a process of this program wrote. (The mixing step is that of splitmix64, by Guy Steele, Doug Lea and
/// Christine Flood, "Fast splittable pseudorandom number generators", 2014.)
struct ReferenceHash: Sendable {
    /// The hash of everything so far.
    private(set) var value: UInt64 = 0x9E37_79B9_7F4A_7C15

    /// Mixes in one more number.
    mutating func mix(_ number: UInt64) {
        var z = (value ^ number) &+ 0x9E37_79B9_7F4A_7C15
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        value = z ^ (z >> 31)
    }
}
