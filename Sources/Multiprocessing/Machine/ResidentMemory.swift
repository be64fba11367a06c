// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingPrimitives

/// How much memory processes have.
enum ResidentMemory {
    /// The pages of this process that are in memory, in bytes; 0 where the kernel does not tell.
    static var ofThisProcess: UInt64 { read("/proc/self/statm") }

    /// The pages of another process that are in memory, in bytes; 0 where the kernel does not tell, or there is no such process any more.
    static func of(_ process: Int32) -> UInt64 { read("/proc/\(process)/statm") }

    private static func read(_ path: String) -> UInt64 {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return 0 }
        defer { close(file) }
        return withUnsafeTemporaryAllocation(byteCount: 128, alignment: 1) { buffer in
            let count = Glibc.read(file, buffer.baseAddress, buffer.count)
            guard count > 0 else { return 0 }
            // The second number.
            let fields = buffer[..<count].split(separator: UInt8(ascii: " "))
            guard fields.count > 1 else { return 0 }
            let pages = fields[1].reduce(UInt64(0)) { sum, digit in
                digit >= 48 && digit < 58 ? sum &* 10 &+ UInt64(digit - 48) : sum
            }
            return pages * UInt64(MemoryRegion.pageSize)
        }
    }
}
