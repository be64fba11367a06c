// SPDX-License-Identifier: Apache-2.0

import Glibc
import MultiprocessingPrimitives
import Testing

/// Limits of control groups, read from folders that are laid out as the kernel lays out its own.
@Suite(.timeLimit(.minutes(30)))
struct ControlGroupTests {
    /// Makes a folder with these files, calls `body` with its path, and removes it.
    private func with(_ files: [String: String], _ body: (String) throws -> Void) throws {
        var template = Array("/tmp/mp-groups-XXXXXX".utf8CString)
        let root = try #require(mkdtemp(&template).map { String(cString: $0) })
        var made = [root]
        for (path, text) in files {
            var folder = root
            for part in path.split(separator: "/").dropLast() {
                folder += "/\(part)"
                if mkdir(folder, 0o700) == 0 { made.append(folder) }
            }
            let file = try #require(fopen(root + path, "w"))
            fputs(text, file)
            fclose(file)
            made.append(root + path)
        }
        defer { for path in made.reversed() { remove(path) } }
        try body(root)
    }

    private static let unlimited = "9223372036854771712\n"

    @Test func `the memory that version 2 leaves is that of the tightest group around`() throws {
        let files = [
            "/proc/self/cgroup": "0::/outer/inner\n",
            "/sys/fs/cgroup/outer/memory.max": "1000000\n",
            "/sys/fs/cgroup/outer/memory.current": "900000\n",
            "/sys/fs/cgroup/outer/memory.stat": "anon 500000\nfile 400000\ninactive_file 300000\nactive_file 1\n",
            "/sys/fs/cgroup/outer/inner/memory.max": "max\n",
            "/sys/fs/cgroup/outer/inner/memory.current": "5000\n",
        ]
        try with(files) { #expect(ControlGroup(root: $0).availableMemory == 400_000) }
        try with(["/proc/self/cgroup": "0::/\n"]) { #expect(ControlGroup(root: $0).availableMemory == nil) }
        try with([:]) { #expect(ControlGroup(root: $0).availableMemory == nil) }
    }

    @Test func `the memory that version 1 leaves is found, also in a container that sees only its own group`() throws {
        let files = [
            "/proc/self/cgroup": "11:cpu,cpuacct:/docker/1f\n7:memory:/docker/1f\n0::/system.slice\n",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes": "64000000\n",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes": "60000000\n",
            "/sys/fs/cgroup/memory/memory.stat": "cache 9\ninactive_file 1\ntotal_inactive_file 6000000\n",
            "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "150000\n",
            "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        ]
        try with(files) { root in
            #expect(ControlGroup(root: root).availableMemory == 10_000_000)
            #expect(ControlGroup(root: root).processorQuota == 1.5)
        }
        var nested = files
        nested["/sys/fs/cgroup/memory/docker/1f/memory.limit_in_bytes"] = "3000\n"
        nested["/sys/fs/cgroup/memory/docker/1f/memory.usage_in_bytes"] = "4000\n"
        try with(nested) { #expect(ControlGroup(root: $0).availableMemory == 0) }
        let free = [
            "/proc/self/cgroup": "7:memory:/\n", "/sys/fs/cgroup/memory/memory.limit_in_bytes": Self.unlimited,
            "/sys/fs/cgroup/memory/memory.usage_in_bytes": "5\n",
        ]
        try with(free) { #expect((ControlGroup(root: $0).availableMemory ?? 0) > 1 << 60) }
    }

    @Test func `the processors that version 2 pays for are those of the tightest group around`() throws {
        let files = [
            "/proc/self/cgroup": "0::/outer/inner\n",
            "/sys/fs/cgroup/outer/cpu.max": "50000 100000\n",
            "/sys/fs/cgroup/outer/inner/cpu.max": "max 100000\n",
        ]
        try with(files) { #expect(ControlGroup(root: $0).processorQuota == 0.5) }
        try with(["/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "max 100000\n"]) {
            #expect(ControlGroup(root: $0).processorQuota == nil)
        }
    }
}
