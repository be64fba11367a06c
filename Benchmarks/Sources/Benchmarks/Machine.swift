// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Multiprocessing

/// The machine that a run happened on.
struct Machine {
    private let loadBefore = Machine.load

    /// The line above the table, at the end of the run.
    var line: String {
        var line = "\(Self.processor), \(cpuCount) processors"
        if availableCPUCount != cpuCount { line += " (\(availableCPUCount) for this run)" }
        line += ", \(Self.system); load average \(loadBefore) before, \(Self.load) after"
        #if DEBUG
        line += "; A DEBUG BUILD, which says nothing (use -c release)"
        #endif
        return line
    }

    /// The average number of processes that were running in the last minute.
    private static var load: String {
        TextFile.read("/proc/loadavg")?.split(separator: " ").first.map(String.init) ?? "unknown"
    }

    /// The number of the first processor that this run may use.
    static var firstProcessor: String {
        let lines = TextFile.read("/proc/self/status")?.split(separator: "\n") ?? []
        let list = lines.first { $0.hasPrefix("Cpus_allowed_list:") }?.drop { !$0.isNumber }
        return list.map { String($0.prefix { $0.isNumber }) } ?? "0"
    }

    private static var processor: String {
        let lines = TextFile.read("/proc/cpuinfo")?.split(separator: "\n") ?? []
        let model = lines.first { $0.hasPrefix("model name") }?.split(separator: ":").last
        return model.map { String($0.drop { $0 == " " }) } ?? "unknown processor"
    }

    private static var system: String {
        let release = TextFile.read("/proc/sys/kernel/osrelease")?.split(separator: "\n").first ?? "unknown"
        #if arch(x86_64)
        return "Linux \(release) x86_64"
        #elseif arch(arm64)
        return "Linux \(release) aarch64"
        #else
        return "Linux \(release)"
        #endif
    }
}

/// Small files of text, without Foundation.
enum TextFile {
    /// Returns what is in the file; nil when it cannot be read.
    static func read(_ path: String) -> String? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }
}
