// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

@Suite(.timeLimit(.minutes(10)), .leavesNothing)
struct IdleHandleTests {
    @Test func `hundreds of idle queues and connections wake no thread`() async throws {
        try await apart(timeout: .seconds(60)) {
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
            // Whoever was to fall asleep sleeps by now, and if not, counts little.
            for queue in queues.prefix(10) { _ = try? await queue.get(timeout: .milliseconds(1)) }

            let before = (wakeUps(), processorTime())
            _ = try? await Queue<Int>().get(timeout: .milliseconds(400))
            let after = (wakeUps(), processorTime())
            // A look now and then at each of the 300 would be more.
            try check(after.0 - before.0 < 100, "\(after.0 - before.0) wake-ups")
            try check(after.1 - before.1 < 100_000, "\(after.1 - before.1) µs of processor time")

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
