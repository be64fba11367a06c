// SPDX-License-Identifier: Apache-2.0
//
// What a child sees is what its parent sees at the moment of the start, not what the server saw when it was started. As bytes:
//
//   varint    index of the first of its descriptors
//   4 bytes   umask
//   1 byte    which descriptors are there: bit 0–2 the standard ones, bit 3 working directory, bit 4 pidfd of the parent
//   varint    number of environment variables, then their bytes, each ended by a zero, with a length ahead of all

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// The surroundings of a process: environment, working directory, umask, standard descriptors.
enum Surroundings {
    /// The bits of the descriptors after the standard ones.
    private static let workingDirectoryBit = 3
    private static let parentBit = 4

    // MARK: - In the parent

    /// Writes the surroundings of now and attaches their descriptors.
    static func write(
        into writer: inout WireWriter,
        _ descriptors: CarriedDescriptors,
        parent: SharedDescriptor?
    ) throws(SystemError) {
        writer.writeVarint(UInt64(descriptors.numbers.count))
        writer.write(currentUmask())
        var present: UInt8 = 0
        for standard: Int32 in 0...2 where fcntl(standard, F_GETFD) >= 0 {
            _ = descriptors.attach(standard, owner: nil)
            present |= 1 << UInt8(standard)
        }
        // A directory that was removed can still be opened and entered.
        let owner = SharedDescriptor(
            try OwnedDescriptor(checking: mp_open_working_directory(), "opening the working directory")
        )
        _ = descriptors.attach(owner.number, owner: owner)
        present |= 1 << UInt8(workingDirectoryBit)
        if let parent {
            _ = descriptors.attach(parent.number, owner: parent)
            present |= 1 << UInt8(parentBit)
        }
        writer.write(present)
        writeEnvironment(into: &writer)
    }

    /// Writes the environment, read once from beginning to end: another thread may be changing it (setenv(3)), so a second look could find something else.
    private static func writeEnvironment(into writer: inout WireWriter) {
        var block: [UInt8] = []
        block.reserveCapacity(4096)
        var next = mp_environment()
        while let variable = next?.pointee {
            block.append(contentsOf: UnsafeRawBufferPointer(start: variable, count: strlen(variable)))
            block.append(0)
            next = next?.advanced(by: 1)
        }
        // Counted in what was read, for the same reason.
        writer.writeVarint(UInt64(block.lazy.filter { $0 == 0 }.count))
        writer.writeVarint(UInt64(block.count))
        block.withUnsafeBytes { writer.writeBytes($0) }
    }

    /// The umask, which the C library can only tell by changing it, for all threads; the kernel tells it as it is.
    private static func currentUmask() -> UInt32 {
        let status = open("/proc/self/status", O_RDONLY | O_CLOEXEC)
        if status >= 0 {
            defer { close(status) }
            let found: UInt32? = withUnsafeTemporaryAllocation(byteCount: 256, alignment: 1) { buffer in
                let count = read(status, buffer.baseAddress, buffer.count)
                return count > 0 ? parseUmask(UnsafeRawBufferPointer(rebasing: buffer[..<count])) : nil
            }
            if let found { return found }
        }
        let mask = umask(0o77)
        umask(mask)
        return mask
    }

    /// Finds the umask in "Name:\tname\nUmask:\t0022\n…". Byte for byte: a start is too short for strings.
    static func parseUmask(_ status: UnsafeRawBufferPointer) -> UInt32? {
        let name = Array("\nUmask:".utf8)
        guard let start = status.indices.first(where: { status[$0...].starts(with: name) }) else { return nil }
        var mask: UInt32 = 0
        for byte in status[(start + name.count)...] {
            switch byte {
            case UInt8(ascii: " "), UInt8(ascii: "\t"): continue
            case UInt8(ascii: "0")...UInt8(ascii: "7"): mask = mask << 3 | UInt32(byte - UInt8(ascii: "0"))
            // The number ends with its line; cut off in the middle it is none.
            case UInt8(ascii: "\n"): return mask
            default: return nil
            }
        }
        return nil
    }

    // MARK: - In the child

    /// Takes on the surroundings in the message. Returns the parent's pidfd.
    ///
    /// - Throws: `WireCodingError` for damaged bytes, `SystemError` when a descriptor cannot be put in its place.
    static func adopt(from reader: inout WireReader, _ descriptors: CarriedDescriptors) throws -> Int32? {
        var next = Int(clamping: try reader.readVarint())
        let mask: UInt32 = try reader.read()
        let present: UInt8 = try reader.read()
        func take(_ bit: Int) -> OwnedDescriptor? {
            guard present & (1 << UInt8(bit)) != 0 else { return nil }
            defer { next += 1 }
            return descriptors.take(next).map { OwnedDescriptor(owning: $0) }
        }
        for standard: Int32 in 0...2 {
            // One that the parent does not have must still be taken, or the next file the child opens would be its standard output.
            let source =
                try take(Int(standard))
                ?? OwnedDescriptor(checking: open("/dev/null", O_RDWR | O_CLOEXEC), "opening /dev/null")
            guard dup2(source.number, standard) >= 0 else {
                throw SystemError("setting up standard descriptor \(standard)")
            }
        }
        if let directory = take(workingDirectoryBit), fchdir(directory.number) < 0 {
            throw SystemError("entering the parent's working directory")
        }
        let parent = take(parentBit)?.release()
        umask(mask)
        let count = Int(clamping: try reader.readVarint())
        let block = try reader.readBytes(Int(clamping: try reader.readVarint()))
        guard block.lazy.filter({ $0 == 0 }).count == count, block.isEmpty || block.last == 0 else {
            throw SystemError(code: EBADMSG, operation: "reading the environment")
        }
        guard mp_replace_environment(block.baseAddress?.assumingMemoryBound(to: CChar.self), count) == 0 else {
            throw SystemError("setting up the environment")
        }
        return parent
    }
}

/// A descriptor that several owners share, closed with the last.
final class SharedDescriptor: Sendable {
    private let descriptor: OwnedDescriptor

    /// The descriptor's number.
    var number: Int32 { descriptor.number }

    /// Takes over a descriptor.
    init(_ descriptor: consuming OwnedDescriptor) {
        self.descriptor = descriptor
    }

    /// Makes an event descriptor readable.
    func signalEvent() {
        var one: UInt64 = 1
        // Fails only when the count is full, and then it is readable.
        _ = write(number, &one, 8)
    }
}
