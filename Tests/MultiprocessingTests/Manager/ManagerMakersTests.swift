// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc
import Synchronization
import Testing

@testable import Multiprocessing

/// Runs jobs on a thread of its own, and keeps them back while it is to.
private final class HeldExecutor: TaskExecutor {
    private struct State {
        var isHolding = false
        var held: [UnownedJob] = []
        var running = 0
    }

    private let state = Synchronization.Mutex(State())
    private let queue = DispatchQueue(label: "held")

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let isHeld = state.withLock { state in
            if state.isHolding { state.held.append(job) } else { state.running += 1 }
            return state.isHolding
        }
        if !isHeld { run(job) }
    }

    private func run(_ job: UnownedJob) {
        queue.async {
            job.runSynchronously(on: self.asUnownedTaskExecutor())
            self.state.withLock { $0.running -= 1 }
        }
    }

    /// Whether its tasks all wait for something.
    var isIdle: Bool { state.withLock { $0.running == 0 } }

    func hold() { state.withLock { $0.isHolding = true } }

    /// How many it keeps back.
    var held: Int { state.withLock { $0.held.count } }

    func release() {
        let held = state.withLock { state in
            state.isHolding = false
            defer { state.held = [] }
            state.running += state.held.count
            return state.held
        }
        for job in held { run(job) }
    }
}

/// How values are made anew of which the owner of a manager has handles.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ManagerMakersTests {
    @Test func `a value whose manager was replaced before its owner knew of the value is made anew as well`()
        async throws
    {
        try await isolated(hasTasks: true) {
            let manager = try Manager(restart: .withFreshValues())
            let number = try manager.host { 5 }
            let (hasBegun, mayEnd) = (try Event(), try Event())
            let executor = HeldExecutor()
            let result = OneResult<Managed<Int>>()
            Task(executorPreference: executor) {
                do {
                    let value = try await manager.host { () throws -> Int in
                        hasBegun.set()
                        try mayEnd.wait()
                        return 7
                    }
                    result.set(.success(value))
                } catch {
                    result.set(.failure(error))
                }
            }
            try check(try hasBegun.wait(timeout: .seconds(60)))
            // The answer will be here, and the task will not know.
            try checkEventually("the task does not wait") { executor.isIdle }
            executor.hold()
            mayEnd.set()
            try checkEventually("it is not answered") { executor.held > 0 }
            kill(manager.processIdentifier, SIGKILL)
            try checkEventually("it does not come back") { (try? number.withValue { $0 }) == 5 }
            executor.release()
            let value = try result.get()
            try checkEqual(try value.withValue { $0 }, 7)
            kill(manager.processIdentifier, SIGKILL)
            try checkEventually("it does not come back") { (try? value.withValue { $0 }) == 7 }
            try manager.shutdown()
        }
    }

    @Test func `a value is made anew whose owner has no handle left but one that came back to it`() async throws {
        try await isolated {
            let manager = try Manager(restart: .withFreshValues())
            let number = try manager.host { 5 }
            var value: Managed<Int>? = try manager.host { 7 }
            let queue = try Queue<Managed<Int>>()
            if let value { try queue.put(value) }
            let same = try queue.get()
            try checkEqual(try same.withValue { $0 }, 7)
            value = nil
            _ = value
            kill(manager.processIdentifier, SIGKILL)
            try checkEventually("it does not come back") { (try? number.withValue { $0 }) == 5 }
            try checkEqual(try same.withValue { $0 }, 7)
            try manager.shutdown()
        }
    }
}
