// SPDX-License-Identifier: Apache-2.0

import Multiprocessing

// Code of the guides and of README that is compiled and never run: it would last for ever, or needs other machines, names and ports. What it does is tested elsewhere.

private func fibonacci(_ n: Int) -> Int { n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2) }

private func square(_ n: Int) -> Int { n * n }
private func double(_ n: Int) -> Int { n * 2 }

private struct Page: Codable, Sendable {}
private struct Settings: Codable, Sendable {}

private func render(_ document: String) throws -> Page { Page() }
private func fetch(_ address: String) throws -> Page { Page() }
private func hash(_ file: String, _ settings: Settings) throws -> Int { file.count }
private func serve(_ connection: Connection) async throws {}

/// The landing page.
private func landingPage(_ documents: [String]) async throws {
    let n = try await ChildProcess.run { fibonacci(40) }
    let pages = try await withPool { pool in try await pool.map(documents, render) }
    _ = (n, pages)
}

/// "Connecting processes".
private func connectingProcesses(_ listener: Listener, _ parent: Connection, _ process: ChildProcess) async throws {
    for try await connection in listener.connections {
        Task { try await serve(connection) }
    }
    try {
        let ready = try Connection.wait(for: [parent, listener, process.sentinel], timeout: .seconds(5))
        _ = ready
    }()
}

/// "Sharing data between processes".
private func names() throws {
    let named = try SharedMemory(name: "weather", create: true, size: 4096)
    let same = try SharedMemory(name: "weather")
    try named.unlink()
    _ = same
}

/// "Sharing values through a manager".
private func managers(_ key: AuthenticationKey, _ word: String) throws {
    final class WordCounter {
        private var counts: [String: Int] = [:]
        func add(_ word: String) -> Int { counts[word, default: 0] }
    }
    do {
        let manager = try Manager()
        let counter = try manager.host { WordCounter() }
        let total = try counter.withValue { $0.add("Hello") }
        _ = total
        let count = try counter.withValue(with: word) { counter, word in counter.add(word) }
        _ = count
    }
    do {
        let manager = try Manager(address: .tcp(host: "0.0.0.0", port: 7000), authenticationKey: key)
        try manager.names.set(try manager.list(of: String.self), forName: "jobs")
    }
    do {
        let manager = try Manager.connect(to: .tcp(host: "indexer", port: 7000), authenticationKey: key)
        let jobs = try manager.names.get("jobs", as: ManagedList<String>.self)
        try jobs?.append("photo.jpg")
    }
}

/// "Surviving crashes".
private func crashes() async throws {
    @Sendable func parse(_ text: String) -> Int {
        guard let number = Int(text) else { fatalError("'\(text)' is not a number") }
        return number
    }

    do {
        let n = try await ChildProcess.run { parse("seven") }
        print(n)
    } catch let lost as ProcessLost {
        print(lost.code == .crashed)
        print(lost.message ?? "")
    }
}

/// README's first program, but for `@main`, which a test bundle cannot have.
private struct First {
    static func main() async throws {
        let n = try await ChildProcess.run { fibonacci(30) }
        print(n)

        do {
            let m = try await ChildProcess.run(timeout: .seconds(5)) { parse("seven") }
            print(m)
        } catch {
            print(error)
        }
    }
}

/// README, "What there is".
private func whatThereIs(_ document: String, _ key: AuthenticationKey, _ process: ChildProcess) async throws {
    let page = try await ChildProcess.run(timeout: .seconds(5)) { try render(document) }
    let queue = try Queue<Page>(capacity: 100)
    let (parent, child) = try Connection.pipe()
    let listener = try Listener(address: .tcp(host: "0.0.0.0", port: 7000), authenticationKey: key)
    let ready = try await Connection.wait(for: [parent, listener, process.sentinel], timeout: .seconds(5))
    _ = (page, queue, child, ready)
}

/// README, "Pools".
private func pools(_ files: [String], _ settings: Settings) throws {
    try withPool(processes: 4) { pool in
        let squares = try pool.map([1, 2, 3, 4, 5], square)
        let ten = try pool.applyAsync(double, 5).get(timeout: .seconds(1))
        // swift-format-ignore
        let hashes = try pool.map(files, with: settings, progress: .terminal("hashing")) { file, settings in try hash(file, settings) }
        for outcome in try pool.mapResults(files, parse) { print(outcome) }
        _ = (squares, ten, hashes)
    }
}

/// README, "Pools", in a task.
private func endlessPool(_ pool: Pool, _ addresses: [String]) async throws {
    for try await page in pool.imap(addresses, fetch) { print(page) }
}
