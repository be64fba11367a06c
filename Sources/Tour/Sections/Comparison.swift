// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Multiprocessing

// MARK: - 14. Processes and threads

/// Counts the primes below `limit`, the slow way: work for a processor and nothing else.
private func countPrimes(below limit: Int) -> Int {
    (2..<limit).count { n in !(2..<n).prefix { $0 * $0 <= n }.contains { n % $0 == 0 } }
}

/// Takes 32 MiB and does not give it back, as leaking libraries do. Returns how many bytes.
private func leak(_: Int) -> Int {
    let size = 32 << 20
    // From the system itself, already filled: of memory that nobody looks at, the optimiser takes none from `malloc`.
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE
    let memory = mmap(nil, size, PROT_READ | PROT_WRITE, flags, -1, 0)
    return memory == MAP_FAILED ? 0 : size
}

private func increment(_ n: Int) -> Int { n + 1 }

/// Does the same work on threads and in processes, and prints what each took.
///
/// Python's threads share one lock, so that only processes use all processors. Swift's threads run in parallel anyway: what speaks for processes is what follows below the first line.
func comparison() throws {
    let (threads, processes) = (try ThreadPool(threads: 2), try Pool(processes: 2))
    defer {
        threads.terminate()
        processes.terminate()
    }
    // The first call finds everything cold.
    _ = (try threads.apply(increment, 1), try processes.apply(increment, 1))

    row("", "threads", "processes")
    let limits = [Int](repeating: 20_000, count: 16)
    row(
        "16 times counting primes",
        milliseconds(try time { _ = try threads.map(limits, countPrimes) }),
        milliseconds(try time { _ = try processes.map(limits, countPrimes) })
    )
    row(
        "a call, there and back",
        microseconds(try time { for n in 0..<200 { _ = try threads.apply(increment, n) } } / 200),
        microseconds(try time { for n in 0..<200 { _ = try processes.apply(increment, n) } } / 200)
    )
    row(
        "memory lost to a leak",
        megabytes(try growth { _ = try threads.apply(leak, 1) }),
        megabytes(try growth { _ = try processes.apply(leak, 1) })
    )
    row("a task that hangs", "hangs for ever", try outcomeOfHanging(processes))
    row("a task that dies", "ends the program", try outcomeOfDying(processes))
}

/// What becomes of a call whose task hangs.
private func outcomeOfHanging(_ pool: Pool) throws -> String {
    do {
        try pool.apply(options: TaskOptions(timeout: .milliseconds(50))) { while true { pause() } }
        return "returns"
    } catch is TimeoutError {
        return "is ended"
    }
}

/// What becomes of a call whose task dies, and of the next one.
private func outcomeOfDying(_ pool: Pool) throws -> String {
    do {
        try pool.apply { _ = kill(getpid(), SIGKILL) }
        return "returns"
    } catch is WorkerLost {
        return try pool.apply(increment, 1) == 2 ? "fails alone" : "breaks the pool"
    }
}

// MARK: - Measuring

private func time(_ body: () throws -> Void) rethrows -> Duration {
    try ContinuousClock().measure(body)
}

/// By how many bytes the memory of this process has grown.
private func growth(_ body: () throws -> Void) rethrows -> Int {
    let before = residentBytes
    try body()
    return max(0, residentBytes - before)
}

/// The memory of this process, in bytes.
private var residentBytes: Int {
    guard let file = fopen("/proc/self/statm", "r") else { return 0 }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 200)
    guard fgets(&line, Int32(line.count), file) != nil else { return 0 }
    let fields = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self).split(
        separator: " "
    )
    return fields.count > 1 ? (Int(fields[1]) ?? 0) * sysconf(Int32(_SC_PAGESIZE)) : 0
}

private func milliseconds(_ duration: Duration) -> String { "\(Int(duration / .milliseconds(1))) ms" }
private func microseconds(_ duration: Duration) -> String { "\(Int(duration / .microseconds(1))) us" }
private func megabytes(_ bytes: Int) -> String { "\((bytes + 500_000) / 1_000_000) MB" }

/// Prints a line of the table.
private func row(_ what: String, _ threads: String, _ processes: String) {
    print(column(what, 26) + column(threads, 20) + processes)
}

private func column(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(1, width - text.count))
}
