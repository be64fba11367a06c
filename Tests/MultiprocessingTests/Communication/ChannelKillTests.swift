// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// Tasks that wait for queues, while processes with other such tasks are killed.
@Suite(.serialized, .timeLimit(.minutes(30)), .leavesNothing)
struct ChannelKillTests {
    /// What is put: who, and the how manyeth of that process's.
    private struct Item: Codable, Sendable {
        var producer: Int
        var number: Int
    }

    @Test func `tasks that put and take are killed, and no task of another process waits for ever`() async throws {
        try await apart(timeout: .seconds(300)) {
            // So small that both sides wait all the time.
            let queue = try Queue<Item>(capacity: 2)
            let progress = try (0..<6).map { _ in try SharedAtomic(0) }
            let torn = try SharedAtomic(0)
            @Sendable func worker(_ index: Int) throws -> ChildProcess {
                let counter = progress[index]
                let child = ChildProcess {
                    if index < 3 {
                        while true {
                            // The number first: one that is killed in between has put it or not.
                            let number = counter.add(1).newValue
                            try await queue.put(Item(producer: index, number: number))
                        }
                    }
                    var last = [Int](repeating: -1, count: 3)
                    for try await item in queue {
                        if item.number <= last[item.producer] { torn.add(1) }
                        last[item.producer] = item.number
                        counter.add(1)
                    }
                }
                try child.start()
                return child
            }
            var generator = Seeded(seed: 41)
            var workers = try (0..<6).map(worker)
            for kill in 1...150 {
                let victim = Int.random(in: 0..<6, using: &generator)
                // Not to wait for anything: the moment is to be random.
                usleep(UInt32.random(in: 0..<3000, using: &generator))
                try workers[victim].kill()
                try await workers[victim].join()
                try workers[victim].close()
                workers[victim] = try worker(victim)
                guard kill.isMultiple(of: 15) else { continue }
                for index in 0..<6 {
                    let before = progress[index].load()
                    let deadline = ContinuousClock.now + .seconds(60)
                    while progress[index].load() == before {
                        try check(ContinuousClock.now < deadline, "\(index) does not get on after \(kill) kills")
                        usleep(200)
                    }
                }
            }
            queue.shutDown()
            for (index, worker) in workers.enumerated() {
                let hasEnded = try await worker.join(timeout: .seconds(60))
                try check(hasEnded, "\(index) does not end")
            }
            try checkEqual(torn.load(), 0)
        }
    }

    @Test func `tasks that join are told whoever of those who count is killed`() async throws {
        try await apart(timeout: .seconds(300)) {
            var generator = Seeded(seed: 43)
            for _ in 0..<40 {
                let work = try JoinableQueue<Int>()
                let (ready, counting) = (try Semaphore(value: 0), try Event())
                for number in 0..<50 { try await work.put(number) }
                while try work.tryGet() != nil {}
                let joiner = ChildProcess {
                    let task = Task { try await work.join() }
                    try ready.release()
                    _ = try await task.value
                }
                let counter = ChildProcess {
                    counting.set()
                    while true { try work.taskDone() }
                }
                try joiner.start()
                try await ready.acquire()
                try counter.start()
                try await counting.wait()
                usleep(UInt32.random(in: 0..<100, using: &generator))
                try counter.kill()
                try await counter.join()
                do { while true { try work.taskDone() } } catch let error as QueueError {
                    try checkEqual(error.code, .tooManyTasksDone)
                }
                let isTold = try await joiner.join(timeout: .seconds(60))
                try check(isTold, "the joiner was not told")
                try checkEqual(joiner.exitCode, 0)
                try counter.close()
                try joiner.close()
            }
        }
    }
}
