// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Synchronization

/// Gives tasks to a process by a `JoinableQueue` and takes its answers from a `SimpleQueue`; now and then it is killed between the two.
final class QueueScene: Sendable {
    private let worker = Atomic<Int32>(0)
    private let answers = Atomic<Int>(0)

    /// The pid of whoever works.
    var processes: [pid_t] { [worker.load(ordering: .relaxed)] }

    func play(_ stage: Stage, _ random: Seeded) throws {
        var random = random
        while !stage.hasEnded {
            let count = Int.random(in: 0...500, using: &random)
            let (tasks, results) = (try JoinableQueue<Int>(), try SimpleQueue<Int>())
            for number in 0..<count { try tasks.put(number) }
            let process = ChildProcess(target: Self.work, arguments: tasks, results, count, daemon: true)
            do { try process.start() } catch { continue }
            worker.store(process.processIdentifier ?? 0, ordering: .relaxed)
            guard try process.join(timeout: .seconds(60)) else { throw Violation("a worker of a queue does not end") }
            worker.store(0, ordering: .relaxed)
            let isWhole = process.exitStatus == .exited(0)
            try check(
                isWhole || process.exitStatus == .signaled(.kill),
                "a worker of a queue ended so: \(String(describing: process.exitStatus))"
            )
            try process.close()
            try judge(tasks, results, count, isWhole)
        }
    }

    /// Each task is answered once and in order, and dealt with, but for the one that the worker had when it died.
    private func judge(_ tasks: JoinableQueue<Int>, _ results: SimpleQueue<Int>, _ count: Int, _ isWhole: Bool) throws {
        var answered = 0
        while !results.isEmpty {
            let answer = try results.get()
            try check(answer == answered * answered, "answer \(answered) of \(count) is \(answer)")
            answered += 1
        }
        let left = tasks.count
        let had = isWhole ? 0 : 1
        try check(
            answered + left <= count && answered + left >= count - had,
            "of \(count) tasks \(answered) are answered and \(left) left"
        )
        let open = tasks.unfinishedCount
        try check(
            open >= left && open <= left + had,
            "\(open) of \(count) tasks are to be dealt with, and \(left) are left"
        )
        while try tasks.tryGet() != nil { try tasks.taskDone() }
        if tasks.unfinishedCount == 1 { try tasks.taskDone() }
        guard try tasks.join(timeout: .seconds(60)) else { throw Violation("nothing is left, and join waits") }
        answers.add(answered, ordering: .relaxed)
    }

    @Sendable private static func work(_ tasks: JoinableQueue<Int>, _ results: SimpleQueue<Int>, _ count: Int) throws {
        for _ in 0..<count {
            let task = try tasks.get()
            try results.put(task * task)
            try tasks.taskDone()
        }
    }

    var figures: Figures { Figures(["answers": answers.load(ordering: .relaxed)]) }
}
