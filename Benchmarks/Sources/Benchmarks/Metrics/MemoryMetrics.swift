// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Measuring
internal import Multiprocessing

/// What a child costs that has done something and waits.
enum MemoryMetrics {
    /// The metrics of this group.
    static let all = [
        Metric(
            "worker.memory",
            "how much more memory the program takes, its server included, for each idle child (proportional set size)",
            unit: .kibibytes,
            kind: .typical,
            peers: [.cpython, .limits]
        ) { _ in [try IdleChildren.measure().proportional] },
        Metric(
            "worker.memory.private",
            "the pages of an idle child that nobody shares",
            unit: .kibibytes,
            kind: .typical,
            peers: [.cpython, .limits]
        ) { _ in [try IdleChildren.measure().private] },
    ]
}

/// Children that wait until they are killed.
enum IdleChildren {
    /// How many are started; the server's and the libraries' pages are shared by all of them.
    private static let count = 8

    /// Returns the bytes for each child: of all memory of the program, and of pages that only the child has.
    static func measure() throws -> (proportional: Double, private: Double) {
        try ForkServer.setSpares(0)
        // The first child warms up the server.
        let first = ChildProcess {}
        try first.start()
        try first.join()
        guard let server = ForkServer.processIdentifier else { throw MeasuringError("there is no fork server") }

        let before = try MemoryUse.sum(of: [getpid(), server], "Pss")
        let ready = try SharedAtomic(0)
        let children = (0..<count).map { _ in
            ChildProcess(daemon: true) {
                _ = ready.add(1)
                while true { pause() }
            }
        }
        for child in children { try child.start() }
        while ready.load() < count { Clock.sleep(1_000_000) }
        // The last of them is about to wait.
        Clock.sleep(20_000_000)
        let pids = children.compactMap(\.processIdentifier)
        let after = try MemoryUse.sum(of: [getpid(), server] + pids, "Pss")
        let own = try MemoryUse.sum(of: pids, "Private_Dirty") + MemoryUse.sum(of: pids, "Private_Clean")
        for child in children { try child.kill() }
        for child in children { try child.join() }
        return (Double(after - before) / Double(count), Double(own) / Double(count))
    }
}

/// The kernel's account of a process' memory.
enum MemoryUse {
    /// Returns the bytes that a line of `smaps_rollup` tells, for all those processes together.
    ///
    /// - Throws: `MeasuringError` when the kernel does not tell.
    static func sum(of pids: [Int32], _ field: String) throws -> Int {
        try pids.reduce(0) { sum, pid in
            let path = "/proc/\(pid)/smaps_rollup"
            // "Pss:                2048 kB"
            let line = TextFile.read(path)?.split(separator: "\n").first { $0.hasPrefix(field + ":") }
            guard let kibibytes = line?.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else {
                throw MeasuringError("\(path) tells no \(field)")
            }
            return sum + kibibytes * 1024
        }
    }
}
