// SPDX-License-Identifier: Apache-2.0

internal import Multiprocessing

/// What the processes of both sections say.
private let greeting = "Hello from process"

// MARK: - 7. A queue between processes

/// Lets a process put a text into a queue, and takes it out when the process has ended: what was put is there, whatever became of who put it.
func queues() throws {
    let queue = try Queue<String>()
    let process = ChildProcess { try queue.put(greeting) }
    try process.start()
    try process.join()
    print(try queue.get())
}

// MARK: - 8. A pipe between processes

/// Sends a text and closes the connection. Everybody who has the other end sees the end then, after the text.
@Sendable private func sendMessage(_ connection: Connection) throws {
    try connection.send(greeting)
    connection.close()
}

/// Gives one end of a connection to a process and receives what it sends.
func pipes() throws {
    let (parent, child) = try Connection.pipe()
    let process = ChildProcess(target: sendMessage, arguments: child)
    try process.start()
    try process.join()
    print(try parent.receive(String.self))
}
