// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Multiprocessing

// MARK: - 13. Daemons: tasks in the background

/// How many lines the task in the background writes; the tutorial's writes without end.
private let lineCount = 3

/// Writes its lines, sets `written`, and goes on without end and without another word.
@Sendable private func backgroundTask(_ written: Event) {
    for _ in 0..<lineCount {
        print("Running in background...")
        // A daemon is ended by a signal, which leaves what is buffered unwritten.
        fflush(nil)
    }
    written.set()
    while true { pause() }
}

/// Starts a daemon and does not wait for its end, which never comes: it ends with this program.
func daemons() throws {
    let written = try Event()
    let process = ChildProcess(target: backgroundTask, arguments: written, daemon: true)
    try process.start()
    try written.wait(timeout: .seconds(10))
}
