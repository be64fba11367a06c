// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct IdleHandleTests {
    @Test func `whoever waits, a thread or a task, and for whatever, uses no processor time`() async throws {
        try await apart(timeout: .seconds(300)) {
            let (empty, full) = (try Queue<Int>(), try Queue<Int>(capacity: 1))
            let work = try JoinableQueue<Int>()
            try await full.put(0)
            try await work.put(0)
            let (here, there) = try Connection.pipe()
            do {
                while true { try await here.sendBytes([UInt8](repeating: 1, count: 100_000), timeout: .zero) }
            } catch is TimeoutError {}
            let listener = try Listener()
            async let connecting = Connection.connect(to: listener.address)
            let (near, far) = (try await listener.accept(), try await connecting)
            let calls: [@Sendable () throws -> Void] = [
                { _ = try empty.get() }, { try full.put(1) }, { _ = try work.join() }, { try here.send(1) },
                { _ = try here.receive(Int.self) }, { _ = try near.receive(Int.self) }, { _ = try listener.accept() },
                { _ = try Connection.wait(for: [empty, here, near, listener]) }, { _ = try here.poll(timeout: nil) },
            ]
            let twins: [@Sendable () async throws -> Void] = [
                { _ = try await empty.get() }, { try await full.put(1) }, { _ = try await work.join() },
                { try await here.send(1) }, { _ = try await here.receive(Int.self) },
                { _ = try await near.receive(Int.self) }, { _ = try await listener.accept() },
                { _ = try await Connection.wait(for: [empty, here, near, listener]) },
                { _ = try await here.poll(timeout: nil) }, { for try await _ in empty {} },
            ]
            let results = try calls.map { call in try onThreadAsync(call) }
            let tasks = twins.map { twin in Task { try await twin() } }
            try await checkIsAtRest()

            // Nobody is ready by mistake.
            empty.shutDown()
            full.shutDown()
            work.shutDown(immediate: true)
            for end in [here, there, near, far] { end.close() }
            listener.close()
            for task in tasks { _ = await task.result }
            for result in results { _ = Result { try result.get() } }
        }
    }

    @Test func `hundreds of idle queues and connections wake no thread`() async throws {
        try await apart(timeout: .seconds(300)) {
            let count = 150
            let queues = try (0..<count).map { _ in try Queue<Int>() }
            let pipes = try (0..<count).map { _ in try Connection.pipe() }
            let clock = try Queue<Int>()
            var tasks: [Task<Int, any Error>] = []
            for index in 0..<count {
                tasks.append(Task { try await queues[index].get() })
                tasks.append(Task { try await pipes[index].0.receive(Int.self) })
            }
            let blocked = try onThreadAsync { try clock.get() }
            try await checkIsAtRest()
            // Nor has any of them a thread.
            let threads = Proc.entries("/proc/self/task").count
            try check(threads < 30, "\(threads) threads")

            for index in 0..<count {
                try await queues[index].put(index)
                try await pipes[index].1.send(index)
            }
            try await clock.put(1)
            var sum = 0
            for task in tasks { sum += try await task.value }
            try checkEqual(sum, count * (count - 1))
            try checkEqual(try blocked.get(), 1)
        }
    }
}

/// Throws unless this process comes to rest: uses next to no processor time for a while, which it does at the latest when all have fallen asleep who are to wait.
private func checkIsAtRest() async throws {
    let clock = try Queue<Int>()
    var (count, time) = (0, 0)
    for _ in 0..<30 {
        let before = (wakeUps(), processorTime())
        _ = try? await clock.get(timeout: .milliseconds(300))
        time = processorTime() - before.1
        count = wakeUps() - before.0
        // A look now and then at each thing that is waited for would be more.
        if time < 5000, count < 40 { return }
    }
    throw CheckFailed(description: "\(count) wake-ups and \(time) µs of processor time in 300 ms")
}

/// How often the threads of this process have gone to sleep and woken up.
private func wakeUps() -> Int {
    Proc.entries("/proc/self/task").reduce(0) { sum, thread in
        let line = Proc.lines("/proc/self/task/\(thread)/status").first { $0.hasPrefix("voluntary_ctxt_switches") }
        return sum + (line?.split(separator: "\t").last.flatMap { Int($0) } ?? 0)
    }
}

/// The processor time of this process in microseconds.
private func processorTime() -> Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1_000_000
        + Int(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec)
}
