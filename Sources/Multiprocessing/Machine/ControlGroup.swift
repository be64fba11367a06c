// SPDX-License-Identifier: Apache-2.0
//
// The limits that containers run under (kernel documentation, "Control Group v2": cpu.max; v1: cpu.cfs_quota_us).

internal import Glibc
internal import MultiprocessingPrimitives

/// The control group of this process.
enum ControlGroup {
    /// How many processors' time the group may use; nil without a limit. The smallest limit on the way to the root counts.
    static var processorQuota: Double? {
        guard let membership = SmallFile.read("/proc/self/cgroup") else { return nil }
        var quotas: [Double] = []
        for line in membership.split(separator: "\n") {
            // "0::/path" (version 2), "4:cpu,cpuacct:/path" (version 1)
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            let isVersion2 = parts[0] == "0" && parts[1].isEmpty
            guard isVersion2 || parts[1].split(separator: ",").contains("cpu") else { continue }
            var path = parts[2][...]
            while true {
                let folder = (isVersion2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu") + (path == "/" ? "" : path)
                if let quota = isVersion2 ? quotaVersion2(folder) : quotaVersion1(folder) { quotas.append(quota) }
                guard let slash = path.lastIndex(of: "/"), path != "/" else { break }
                path = slash == path.startIndex ? "/" : path[..<slash]
            }
        }
        return quotas.min()
    }

    /// "max 100000" or "150000 100000": quota and period, in microseconds.
    private static func quotaVersion2(_ folder: String) -> Double? {
        guard let parts = SmallFile.read(folder + "/cpu.max")?.split(whereSeparator: \.isWhitespace), parts.count == 2
        else { return nil }
        return ratio(Double(parts[0]), Double(parts[1]))
    }

    private static func quotaVersion1(_ folder: String) -> Double? {
        func number(_ name: String) -> Double? {
            SmallFile.read(folder + "/" + name).flatMap { Double($0.filter { !$0.isWhitespace }) }
        }
        return ratio(number("cpu.cfs_quota_us"), number("cpu.cfs_period_us"))
    }

    private static func ratio(_ quota: Double?, _ period: Double?) -> Double? {
        guard let quota, let period, quota > 0, period > 0 else { return nil }
        return quota / period
    }
}

/// Files of the kernel, which are made as they are read.
enum SmallFile {
    /// Returns the first 4096 bytes of the file, or nil when it cannot be read.
    static func read(_ path: String) -> String? {
        guard let file = try? OwnedDescriptor(checking: open(path, O_RDONLY | O_CLOEXEC), "opening \(path)") else {
            return nil
        }
        return withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { buffer in
            let count = Glibc.read(file.number, buffer.baseAddress, buffer.count)
            return count < 0 ? nil : String(decoding: UnsafeRawBufferPointer(rebasing: buffer[..<count]), as: UTF8.self)
        }
    }
}
