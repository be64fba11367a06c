// SPDX-License-Identifier: Apache-2.0
//
// An ELF file (System V ABI, "Object Files"; 64 bits, little-endian). Offsets used:
//
//   file      40 section headers: 8 bytes   58 size of one: 2   60 number: 2   62 index of the section with their names: 2
//   section    0 name: 4 bytes   4 type: 4   24 place in the file: 8   32 size: 8   40 index of a section that belongs to it: 4

internal import Glibc

/// An executable or library, mapped for reading.
package final class ObjectFile {
    /// What a section header tells.
    package struct Section {
        /// Where its name begins among the names of sections.
        let name: Int
        package let type: UInt32
        /// Its bytes in the file; nil when the file is shorter than that.
        package let range: Range<Int>?
        /// The index of a section that belongs to it, such as one with names.
        package let link: Int
    }

    package let bytes: UnsafeRawBufferPointer
    package let sections: [Section]
    private let names: Range<Int>?

    /// Maps a file. Nil when it cannot be read, or is too small to be such a file.
    package init?(path: String) {
        guard let descriptor = try? OwnedDescriptor(checking: open(path, O_RDONLY | O_CLOEXEC), "opening \(path)")
        else { return nil }
        var status = stat()
        guard fstat(descriptor.number, &status) == 0, status.st_size > 64 else { return nil }
        guard let address = mmap(nil, Int(status.st_size), PROT_READ, MAP_PRIVATE, descriptor.number, 0),
            address != MAP_FAILED
        else { return nil }
        let bytes = UnsafeRawBufferPointer(start: address, count: Int(status.st_size))
        self.bytes = bytes

        let start = Int(clamping: bytes.loadUnaligned(fromByteOffset: 40, as: UInt64.self))
        let stride = Int(bytes.loadUnaligned(fromByteOffset: 58, as: UInt16.self))
        let count = Int(bytes.loadUnaligned(fromByteOffset: 60, as: UInt16.self))
        guard stride >= 64, start <= bytes.count - stride * count else {
            sections = []
            names = nil
            return
        }
        sections = (0..<count).map { Self.section(at: start + $0 * stride, in: bytes) }
        let index = Int(bytes.loadUnaligned(fromByteOffset: 62, as: UInt16.self))
        names = sections.indices.contains(index) ? sections[index].range : nil
    }

    deinit {
        munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
    }

    private static func section(at place: Int, in bytes: UnsafeRawBufferPointer) -> Section {
        let start = bytes.loadUnaligned(fromByteOffset: place + 24, as: UInt64.self)
        let size = bytes.loadUnaligned(fromByteOffset: place + 32, as: UInt64.self)
        let isInside = start <= UInt64(bytes.count) && size <= UInt64(bytes.count) - start
        return Section(
            name: Int(bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self)),
            type: bytes.loadUnaligned(fromByteOffset: place + 4, as: UInt32.self),
            range: isInside ? Int(start)..<Int(start + size) : nil,
            link: Int(bytes.loadUnaligned(fromByteOffset: place + 40, as: UInt32.self))
        )
    }

    /// Whether the name of a section begins with `prefix`.
    package func hasSection(withPrefix prefix: StaticString) -> Bool {
        guard let names else { return false }
        let prefix = UnsafeBufferPointer(start: prefix.utf8Start, count: prefix.utf8CodeUnitCount)
        return sections.contains { section in
            bytes[names].dropFirst(section.name).prefix(prefix.count).elementsEqual(prefix)
        }
    }
}
