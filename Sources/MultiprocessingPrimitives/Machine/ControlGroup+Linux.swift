// SPDX-License-Identifier: Apache-2.0
//
// The limits that containers run under (kernel documentation, "Control Group v2", and "Control Groups version 1" where they are older):
//
//                  version 2                            version 1
//   folder         /sys/fs/cgroup/PATH                  /sys/fs/cgroup/cpu/PATH, /sys/fs/cgroup/memory/PATH
//   processors     cpu.max: quota and period            cpu.cfs_quota_us, cpu.cfs_period_us
//   memory         memory.max, memory.current           memory.limit_in_bytes, memory.usage_in_bytes
//   of it, cache   memory.stat: inactive_file           memory.stat: total_inactive_file
//
// PATH is told by /proc/self/cgroup. In a container it may be that of the machine, which is not there: then the root of what is mounted is the container's own group.

/// The control groups of this process.
package struct ControlGroup {
    /// A folder with the limits of one group.
    private struct Folder {
        let path: String
        let isVersion2: Bool
    }

    private let root: String

    /// Looks at the groups of this process.
    ///
    /// - Parameter root: What stands before every path, for tests.
    package init(root: String = "") {
        self.root = root
    }

    /// The group that the controller limits this process by, then the groups around it: each has a limit of its own.
    private func folders(of controller: Substring) -> [Folder] {
        guard let membership = SmallFile.read(root + "/proc/self/cgroup") else { return [] }
        var folders: [Folder] = []
        for line in membership.split(separator: "\n") {
            // "0::/path" (version 2), "4:cpu,cpuacct:/path" (version 1)
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            let isVersion2 = parts[0] == "0" && parts[1].isEmpty
            guard isVersion2 || parts[1].split(separator: ",").contains(controller) else { continue }
            let mount = root + "/sys/fs/cgroup" + (isVersion2 ? "" : "/\(controller)")
            var path = parts[2]
            while true {
                folders.append(Folder(path: mount + (path == "/" ? "" : path), isVersion2: isVersion2))
                guard path != "/", let slash = path.lastIndex(of: "/") else { break }
                path = slash == path.startIndex ? "/" : path[..<slash]
            }
        }
        return folders
    }

    // MARK: - Processors

    /// How many processors' time the group may use; nil without a limit. The smallest limit on the way to the root counts.
    package var processorQuota: Double? {
        folders(of: "cpu").compactMap { $0.isVersion2 ? quotaVersion2($0.path) : quotaVersion1($0.path) }.min()
    }

    /// "max 100000" or "150000 100000": quota and period, in microseconds.
    private func quotaVersion2(_ folder: String) -> Double? {
        guard let parts = SmallFile.read(folder + "/cpu.max")?.split(whereSeparator: \.isWhitespace), parts.count == 2
        else { return nil }
        return ratio(Int(parts[0]), Int(parts[1]))
    }

    private func quotaVersion1(_ folder: String) -> Double? {
        ratio(SmallFile.number(folder + "/cpu.cfs_quota_us"), SmallFile.number(folder + "/cpu.cfs_period_us"))
    }

    private func ratio(_ quota: Int?, _ period: Int?) -> Double? {
        guard let quota, let period, quota > 0, period > 0 else { return nil }
        return Double(quota) / Double(period)
    }

    // MARK: - Memory

    /// The bytes that the limits of the group, and of those around it, leave; nil without a limit.
    ///
    /// Pages of files that nobody has used for some time count as free: the kernel takes them back before it ends somebody.
    package var availableMemory: Int? {
        folders(of: "memory").compactMap { $0.isVersion2 ? memoryVersion2($0.path) : memoryVersion1($0.path) }.min()
    }

    private func memoryVersion2(_ folder: String) -> Int? {
        rest(of: folder, limit: "memory.max", used: "memory.current", cache: "inactive_file")
    }

    private func memoryVersion1(_ folder: String) -> Int? {
        rest(of: folder, limit: "memory.limit_in_bytes", used: "memory.usage_in_bytes", cache: "total_inactive_file")
    }

    private func rest(of folder: String, limit: String, used: String, cache: String) -> Int? {
        guard let limit = SmallFile.number("\(folder)/\(limit)"), let used = SmallFile.number("\(folder)/\(used)")
        else { return nil }
        let inactive = SmallFile.read(folder + "/memory.stat").flatMap { SmallFile.number(cache, in: $0) } ?? 0
        // A group without a limit has a huge one in version 1.
        return max(0, limit - max(0, used - inactive))
    }
}
