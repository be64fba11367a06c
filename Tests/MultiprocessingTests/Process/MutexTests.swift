// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Synchronization
import Testing

/// A counter behind the standard library's mutex.
private final class Counter: Sendable {
    let value = Mutex(0)
}

/// Counts on the calling thread and three others, all at the same time.
private func countTogether() throws {
    let counter = Counter()
    let others = try (0..<3).map { _ in
        try onThreadAsync { for _ in 0..<20_000 { counter.value.withLock { $0 += 1 } } }
    }
    for _ in 0..<20_000 { counter.value.withLock { $0 += 1 } }
    for other in others { try other.get() }
    try checkEqual(counter.value.withLock { $0 }, 80_000)
}

@Suite(.timeLimit(.minutes(30)), .leavesNothing) struct MutexTests {
    @Test(arguments: [StartMethod.forkServer, .spawn])
    func `threads of a child can wait for a mutex that its main thread holds`(_ method: StartMethod) async throws {
        try await isolated {
            for _ in 0..<5 {
                let child = ChildProcess(startMethod: method) { try countTogether() }
                try child.start()
                try child.join()
                try checkEqual(child.exitStatus, .exited(0))
                try child.close()
            }
        }
    }

    @Test func `the mutex of a copy of this process works too`() async throws {
        try await isolated {
            try countTogether()
            for _ in 0..<3 {
                let child = ChildProcess(startMethod: .fork) { try countTogether() }
                try child.start()
                try child.join()
                try checkEqual(child.exitStatus, .exited(0))
                try child.close()
            }
        }
    }
}
