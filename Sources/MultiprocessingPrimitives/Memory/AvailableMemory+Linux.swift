// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc

/// What the machine and this process's control group can still give.
///
/// The kernel does not refuse an allocation of shared memory that is too large: it allocates page after page until it has to kill somebody. So large sizes are compared with what there is first.
package enum AvailableMemory {
    /// Sizes below this are not checked: asking costs some 50 microseconds.
    private static let threshold = 16 << 20

    /// Throws ENOMEM when `size` bytes are more than what can be had.
    package static func require(_ size: Int) throws(SystemError) {
        guard size >= threshold, let available = bytes, size > available else { return }
        throw SystemError(
            code: ENOMEM,
            operation: "allocating \(size) bytes of shared memory, with \(available) available"
        )
    }

    /// The bytes that can be had without killing anybody; nil when the system does not say.
    static var bytes: Int? {
        [machineBytes, groupBytes].compactMap { $0 }.min()
    }

    /// What /proc/meminfo calls available, and free swap space (proc_meminfo(5)).
    ///
    /// Without a descriptor for that file, or without /proc, it is what is free at the moment, which is less: to be too careful is better than to have somebody killed.
    private static var machineBytes: Int? {
        guard let text = text(of: "/proc/meminfo") else {
            let free = mp_free_memory()
            return free < 0 ? nil : Int(free)
        }
        var kibibytes: Int?
        for line in text.split(separator: "\n") {
            guard line.hasPrefix("MemAvailable:") || line.hasPrefix("SwapFree:") else { continue }
            guard let value = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else { continue }
            kibibytes = (kibibytes ?? 0) + value
        }
        return kibibytes.map { $0 * 1024 }
    }

    /// What the control group's limit, and those of the groups around it, leave (cgroup v2: memory.max and memory.current).
    private static var groupBytes: Int? {
        guard let groups = text(of: "/proc/self/cgroup") else { return nil }
        guard let line = groups.split(separator: "\n").first(where: { $0.hasPrefix("0::/") }) else { return nil }
        var path = line.dropFirst("0::".count)
        var least: Int?
        while true {
            let folder = "/sys/fs/cgroup\(path)/"
            if let limit = number(in: folder + "memory.max"), let used = number(in: folder + "memory.current") {
                least = min(least ?? Int.max, max(0, limit - used))
            }
            guard let slash = path.lastIndex(of: "/"), path.count > 1 else { return least }
            path = path[..<slash]
        }
    }

    /// The number a file consists of; nil for "max" or no file.
    private static func number(in path: String) -> Int? {
        text(of: path)?.split(separator: "\n").first.flatMap { Int($0) }
    }

    /// The first 16 KiB of a file.
    private static func text(of path: String) -> String? {
        guard let file = try? OwnedDescriptor(checking: open(path, O_RDONLY | O_CLOEXEC), "opening \(path)") else {
            return nil
        }
        let bytes = [UInt8](unsafeUninitializedCapacity: 16384) { buffer, count in
            count = max(0, read(file.number, buffer.baseAddress, buffer.count))
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
