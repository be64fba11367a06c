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
        [machineBytes, ControlGroup().availableMemory].compactMap { $0 }.min()
    }

    /// What /proc/meminfo calls available, and free swap space (proc_meminfo(5)).
    ///
    /// Without a descriptor for that file, or without /proc, it is what is free at the moment, which is less: to be too careful is better than to have somebody killed.
    private static var machineBytes: Int? {
        guard let text = SmallFile.read("/proc/meminfo") else {
            let free = mp_free_memory()
            return free < 0 ? nil : Int(free)
        }
        // In KiB.
        let parts = ["MemAvailable", "SwapFree"].compactMap { SmallFile.number($0, in: text) }
        return parts.isEmpty ? nil : parts.reduce(0, +) * 1024
    }
}
