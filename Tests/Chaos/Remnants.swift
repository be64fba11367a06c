// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What the kernel knows of processes.
enum Remnants {
    /// All processes that have `mark` in their environment, whoever their parent is; the ended ones that nobody has reaped have no environment any more.
    static func processes(_ mark: String) -> [pid_t] {
        entries("/proc").compactMap { pid_t($0) }.filter { $0 != getpid() && hasMark($0, mark) }
    }

    /// Whether a process has `mark` in its environment.
    static func hasMark(_ process: pid_t, _ mark: String) -> Bool {
        contents("/proc/\(process)/environ").split(separator: 0).contains { $0.elementsEqual(mark.utf8) }
    }

    /// Waits until no process has `mark`. Returns those that do after a second, which is as long as everybody may take; a look that comes late, because the machine is busy, counts as 10 ms.
    static func waitForEnd(_ mark: String) -> [String] {
        var waited = Duration.zero
        while true {
            let start = ContinuousClock.now
            let left = processes(mark)
            if left.isEmpty || waited > .seconds(1) {
                return left.map { "\($0) \(name(of: $0)) in \(place(of: $0))" }
            }
            usleep(2000)
            waited += min(ContinuousClock.now - start, .milliseconds(10))
        }
    }

    /// The name of a process.
    static func name(of process: pid_t) -> String {
        String(decoding: contents("/proc/\(process)/comm").prefix { $0 != 10 }, as: UTF8.self)
    }

    /// The function of the kernel that each thread of a process sleeps in.
    static func place(of process: pid_t) -> String {
        entries("/proc/\(process)/task").map { thread in
            String(decoding: contents("/proc/\(process)/task/\(thread)/wchan"), as: UTF8.self)
        }.joined(separator: ", ")
    }

    /// Whether a process runs: it is there and no zombie.
    static func isRunning(_ process: pid_t) -> Bool {
        let text = contents("/proc/\(process)/stat")
        // "pid (name) state …"; the name may hold anything.
        guard let end = text.lastIndex(of: UInt8(ascii: ")")), end + 2 < text.count else { return false }
        return text[end + 2] != UInt8(ascii: "Z") && text[end + 2] != UInt8(ascii: "X")
    }

    /// Waits until a process does not run any more; false when that takes long. One that was killed gives its locks back a moment before it ends.
    static func hasEnded(_ process: pid_t) -> Bool {
        let deadline = ContinuousClock.now + .seconds(5)
        while isRunning(process) {
            if ContinuousClock.now > deadline { return false }
            usleep(100)
        }
        return true
    }

    /// Reads a descriptor up to its end; nil when that does not come in time.
    static func read(_ descriptor: Int32, until deadline: ContinuousClock.Instant) -> String? {
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let left = (deadline - ContinuousClock.now) / .milliseconds(1)
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let count = poll(&entry, 1, Int32(max(0, min(left, 1e6))))
            if count == 0 { return nil }
            if count < 0 { continue }
            let size = Glibc.read(descriptor, &buffer, buffer.count)
            if size <= 0 { return String(decoding: text, as: UTF8.self) }
            text += buffer[..<size]
        }
    }

    /// What each open descriptor of this process stands for.
    static var descriptors: [String] {
        entries("/proc/self/fd").compactMap { number in
            var target = [CChar](repeating: 0, count: 512)
            let count = readlink("/proc/self/fd/\(number)", &target, 511)
            let text = String(decoding: target.prefix(max(0, count)).map(UInt8.init(bitPattern:)), as: UTF8.self)
            // The folder that is being read.
            return text.hasSuffix("/fd") ? nil : "\(number) \(text)"
        }
    }

    static func entries(_ path: String) -> [String] {
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    static func contents(_ path: String) -> [UInt8] {
        guard let file = fopen(path, "re") else { return [] }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
        return bytes
    }
}
