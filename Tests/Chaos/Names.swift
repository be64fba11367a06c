// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What a round makes that has a name in the file system.
enum Names {
    /// The folder for sockets, which the process that has rounds played makes and looks through.
    static var folder: String { getenv("CHAOS_FOLDER").map { String(cString: $0) } ?? "/tmp" }

    /// The names that a round has left: sockets, and shared memory. Who is killed leaves those that it had: they are there until somebody removes them.
    static func left(in folder: String, by process: pid_t) -> [String] {
        Remnants.entries(folder) + Remnants.entries("/dev/shm").filter { $0.hasPrefix("chaos-\(process)-") }
    }

    /// Makes a folder for one round.
    static func makeFolder() -> String? {
        var template = Array("/tmp/chaos-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { return nil }
        return String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// Removes the folder, and whatever is left.
    static func remove(in folder: String, of process: pid_t) {
        for name in Remnants.entries(folder) { unlink("\(folder)/\(name)") }
        rmdir(folder)
        for name in Remnants.entries("/dev/shm") where name.hasPrefix("chaos-\(process)-") {
            unlink("/dev/shm/\(name)")
        }
    }
}
