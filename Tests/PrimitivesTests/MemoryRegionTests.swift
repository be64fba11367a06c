// SPDX-License-Identifier: Apache-2.0

import CMultiprocessing
import Glibc
import Laboratory
import MultiprocessingPrimitives
import Testing

extension PrimitivesTests {
    @Suite(.timeLimit(.minutes(30))) struct MemoryRegionTests {
        @Test func `a region's pages are all there from the start, and zero`() throws {
            let region = try MemoryRegion(size: 3 * MemoryRegion.pageSize + 1, name: "mp-test")
            var status = stat()
            #expect(fstat(region.descriptor, &status) == 0)
            #expect(Int(status.st_size) == region.size && Int(status.st_blocks) * 512 >= region.size)
            #expect(UnsafeRawBufferPointer(start: region.base, count: region.size).allSatisfy { $0 == 0 })
        }

        @Test func `a region's size can change no more, and it has no name`() throws {
            let region = try MemoryRegion(size: 100, name: "mp-test")
            #expect(ftruncate(region.descriptor, 0) != 0 && errno == EPERM)
            #expect(ftruncate(region.descriptor, 1 << 20) != 0 && errno == EPERM)
            #expect(fcntl(region.descriptor, F_GETFD) & FD_CLOEXEC != 0)
        }

        @Test func `memory that the machine does not have is refused at once`() {
            #expect { try MemoryRegion(size: 1 << 46, name: "mp-test") } throws: {
                ($0 as? SystemError)?.code == ENOMEM
            }
        }

        @Test func `more than this process may make a file of is an error, and does not end it`() async throws {
            try await Laboratory.run {
                // The kernel would send SIGXFSZ, by which a process ends.
                var limit = rlimit(rlim_cur: 1 << 20, rlim_max: 1 << 20)
                setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
                _ = try MemoryRegion(size: 1 << 20, name: "mp-test")
                do {
                    _ = try MemoryRegion(size: 2 << 20, name: "mp-test")
                    throw LaboratoryFailure(description: "allocated")
                } catch let error as SystemError {
                    try require(error.code == EFBIG, "\(error)")
                }
            }
        }

        @Test func `a second mapping of the same descriptor is the same memory`() throws {
            let region = try MemoryRegion(size: 100, name: "mp-test")
            let other = try MemoryRegion(adopting: OwnedDescriptor(owning: mp_duplicate(region.descriptor)))
            region.base.storeBytes(of: 7, toByteOffset: 64, as: Int.self)
            #expect(other.base != region.base && other.size == region.size)
            #expect(other.base.load(fromByteOffset: 64, as: Int.self) == 7)
        }

        @Test func `a descriptor whose size is not sealed, or too small, is refused`() throws {
            let file = try OwnedDescriptor(checking: mp_memfd_create("mp-test"), "making a file")
            try file.allocate(100)
            #expect(throws: SystemError.self) {
                try MemoryRegion(adopting: OwnedDescriptor(owning: mp_duplicate(file.number)))
            }
            #expect(mp_seal_size(file.number) == 0)
            #expect(throws: SystemError.self) {
                try MemoryRegion(adopting: OwnedDescriptor(owning: mp_duplicate(file.number)), minimumSize: 101)
            }
        }

        @Test func `a region is unmapped and closed with its last reference`() async throws {
            try await Laboratory.run {
                let before = try Laboratory.lines(of: "/proc/self/maps").count
                var descriptor: Int32 = -1
                for _ in 0..<100 { descriptor = try MemoryRegion(size: 4096, name: "mp-test").descriptor }
                try require(fcntl(descriptor, F_GETFD) < 0, "a descriptor is left open")
                let after = try Laboratory.lines(of: "/proc/self/maps").count
                try require(after <= before + 2, "\(after - before) mappings are left")
            }
        }
    }
}
