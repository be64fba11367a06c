// SPDX-License-Identifier: Apache-2.0
//
// Names of shared memory: files in /dev/shm (shm_overview(7)).

internal import Glibc
internal import MultiprocessingPrimitives

/// A checked name.
struct SharedMemoryName {
    private let name: String

    private var path: String { "/dev/shm/\(name)" }

    /// Checks a name.
    init(_ name: String) throws(SharedStateError) {
        let bytes = name.utf8
        guard !bytes.isEmpty, bytes.count <= 255, !bytes.contains(0), !bytes.contains(UInt8(ascii: "/")), name != ".",
            name != ".."
        else {
            throw SharedStateError(
                .invalidName,
                "shared memory cannot be called \(name.debugDescription): a name has 1 to 255 bytes and no slash or NUL"
            )
        }
        self.name = name
    }

    /// Makes a file of `size` bytes, all of them there, and gives it the name as the last step: nobody finds a half-made one, and a process killed meanwhile leaves none.
    ///
    /// - Parameter fill: What to write into it before it has the name.
    func make(size: Int, fill: (MemoryRegion) throws -> Void = { _ in }) throws -> MemoryRegion {
        // Linked later: O_TMPFILE of open(2), which Swift does not import.
        let temporaryFile = 0o20000000 | O_DIRECTORY
        let file = try OwnedDescriptor(
            checking: Glibc.open("/dev/shm", temporaryFile | O_RDWR | O_CLOEXEC, 0o600),
            "making shared memory \(name.debugDescription)"
        )
        try file.allocate(size)
        let region = try MemoryRegion(mapping: file)
        try fill(region)
        let link = linkat(AT_FDCWD, "/proc/self/fd/\(region.descriptor)", AT_FDCWD, path, AT_SYMLINK_FOLLOW)
        guard link == 0 else {
            guard errno == EEXIST else { throw SystemError("naming shared memory \(name.debugDescription)") }
            throw SharedStateError(.alreadyExists, "there is shared memory called \(name.debugDescription) already")
        }
        return region
    }

    /// Opens what has the name.
    func open() throws -> MemoryRegion {
        // Not a link that somebody else put there, nor a pipe that would block.
        let number = Glibc.open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard number >= 0 else {
            guard errno == ENOENT else { throw SystemError("opening shared memory \(name.debugDescription)") }
            throw absent
        }
        return try MemoryRegion(mapping: OwnedDescriptor(owning: number))
    }

    /// Removes the name.
    func remove() throws {
        guard Glibc.unlink(path) != 0 else { return }
        guard errno == ENOENT else { throw SystemError("removing shared memory \(name.debugDescription)") }
        throw absent
    }

    private var absent: SharedStateError {
        SharedStateError(.doesNotExist, "there is no shared memory called \(name.debugDescription)")
    }
}
