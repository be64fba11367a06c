// SPDX-License-Identifier: Apache-2.0
//
// What the loader tells of each executable and library of this process: its program headers (System V ABI, "Program Header"; 64 bits). Offsets used:
//
//   header     0 type: 4 bytes   4 flags: 4   16 address: 8   40 size in memory: 8
//   note       0 size of the name: 4 bytes   4 size of the content: 4   8 type: 4, then name and content, each filled up to a multiple of 4

internal import CMultiprocessing
internal import Glibc

/// A loaded executable or library, while the loader tells of it.
package struct LoadedImage {
    /// What the loader added to the addresses in the file.
    package let base: UInt
    /// The calling thread's variables of this image; nil where it has none.
    package let threadVariables: UnsafeMutableRawPointer?
    private let changes: UInt64
    private let headers: UnsafeRawBufferPointer
    private let path: UnsafePointer<CChar>?

    /// The file it was loaded from; empty for the executable.
    package var name: String { path.map { String(cString: $0) } ?? "" }

    /// Calls `body` for each image, the executable first, until it returns false.
    package static func forEach(_ body: (LoadedImage) -> Bool) {
        withoutActuallyEscaping(body) { body in
            var body = body
            withUnsafeMutablePointer(to: &body) { place in
                mp_for_each_image(
                    { image, context in
                        guard let image, let context else { return false }
                        let body = context.assumingMemoryBound(to: ((LoadedImage) -> Bool).self)
                        return body.pointee(LoadedImage(image.pointee))
                    },
                    place
                )
            }
        }
    }

    /// How many images were loaded and unloaded up to now, in all: the same number as before means that the images are the same.
    package static var changes: UInt64 {
        var changes: UInt64 = 0
        forEach { image in
            changes = image.changes
            return false
        }
        return changes
    }

    private init(_ image: mp_image) {
        changes = image.changes
        base = image.base
        path = UnsafePointer(image.name)
        threadVariables = image.thread_variables
        headers = UnsafeRawBufferPointer(start: image.headers, count: image.header_count * Self.headerSize)
    }

    // MARK: - Segments

    private static let headerSize = 56

    /// What a segment is for.
    private enum Kind: UInt32 {
        case loaded = 1
        case dynamic = 2
        case note = 4
        case threadVariables = 7
        /// What the loader made read-only when it had filled it in.
        case sealed = 0x6474_e552
    }

    /// A part of the image in memory.
    private struct Segment {
        let range: Range<UInt>
        let isExecutable: Bool
    }

    private func segments(_ kind: Kind) -> [Segment] {
        stride(from: 0, to: headers.count, by: Self.headerSize).compactMap { place in
            guard headers.load(fromByteOffset: place, as: UInt32.self) == kind.rawValue else { return nil }
            let start = base &+ headers.load(fromByteOffset: place + 16, as: UInt.self)
            let size = headers.load(fromByteOffset: place + 40, as: UInt.self)
            let flags = headers.load(fromByteOffset: place + 4, as: UInt32.self)
            return Segment(range: start..<start &+ size, isExecutable: flags & 1 != 0)
        }
    }

    /// From the first of these segments to the last.
    private static func hull(_ segments: [Segment]) -> Range<UInt> {
        let starts = segments.map(\.range.lowerBound)
        let ends = segments.map(\.range.upperBound)
        return (starts.min() ?? 0)..<(ends.max() ?? 0)
    }

    /// All of its memory; empty where nothing was loaded.
    package var range: Range<UInt> { Self.hull(segments(.loaded)) }

    /// Its executable memory.
    package var code: Range<UInt> { Self.hull(segments(.loaded).filter(\.isExecutable)) }

    /// What the loader made read-only.
    package var sealed: Range<UInt> { Self.hull(segments(.sealed)) }

    /// How many bytes each thread's variables take up.
    package var threadVariablesSize: Int { segments(.threadVariables).first?.range.count ?? 0 }

    /// Its dynamic section.
    package var dynamic: UnsafeRawPointer? {
        segments(.dynamic).first.flatMap { UnsafeRawPointer(bitPattern: $0.range.lowerBound) }
    }

    // MARK: - Build

    /// What the linker computed from the image's content; nil where it did not.
    package var buildID: UnsafeRawBufferPointer? {
        for segment in segments(.note) {
            let notes = UnsafeRawBufferPointer(
                start: UnsafeRawPointer(bitPattern: segment.range.lowerBound),
                count: segment.range.count
            )
            if let found = Self.buildID(in: notes) { return found }
        }
        return nil
    }

    private static func buildID(in notes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        var place = 0
        while place + 12 <= notes.count {
            let nameSize = Int(notes.load(fromByteOffset: place, as: UInt32.self))
            let size = Int(notes.load(fromByteOffset: place + 4, as: UInt32.self))
            let content = place + 12 + (nameSize + 3) & ~3
            guard content + size <= notes.count else { return nil }
            // A note of type 3 by "GNU".
            if notes.load(fromByteOffset: place + 8, as: UInt32.self) == 3,
                notes[(place + 12)..<(place + 12 + nameSize)].elementsEqual("GNU\0".utf8)
            {
                return UnsafeRawBufferPointer(rebasing: notes[content..<content + size])
            }
            place = content + (size + 3) & ~3
        }
        return nil
    }
}
