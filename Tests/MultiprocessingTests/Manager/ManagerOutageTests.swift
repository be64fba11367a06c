// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// Managers over a network that do not answer, or are lost to many at the same time.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ManagerOutageTests {
    @Test func `all who wait for a manager that does not answer share attempts, and wait as long as they want`()
        async throws
    {
        try await apart(timeout: .seconds(300)) {
            let (here, there) = try Connection.pipe()
            let starter = ChildProcess {
                let (manager, address) = try Way.tcp.manager()
                try there.send(address)
                withExtendedLifetime(manager) { while true { pause() } }
            }
            try starter.start()
            let address = try await here.receive(Address.self)
            let manager = try await Manager.connect(to: address, authenticationKey: "key", timeout: .seconds(8))
            let list = try await manager.list([1])
            try starter.kill()
            try await starter.join()
            // The manager's own process ends a moment later.
            while (try? await list.count()) != nil {}
            // Whoever comes to the address and has the key is taken for the manager. This one lets everybody in, and says nothing.
            let listener = try Listener(address: address, authenticationKey: "key")
            let silence = Task {
                var visitors: [Connection] = []
                while let visitor = try? await listener.accept() { visitors.append(visitor) }
                return visitors.count
            }
            let patient = (0..<20).map { _ in Task { try await list.count() } }
            let impatient = Task { try await list.count() }
            try await Task.sleep(for: .milliseconds(300))
            impatient.cancel()
            let cancelled = await failure(of: impatient)
            try check(cancelled is CancellationError, "\(String(describing: cancelled))")
            for task in patient {
                let error = await failure(of: task)
                try check(error is ManagerLost, "\(String(describing: error))")
            }
            listener.close()
            // By themselves they would have made one each.
            let attempts = await silence.value
            try check((1..<10).contains(attempts), "\(attempts) attempts")
        }
    }

    @Test func `many tasks that lose a manager at the same time all learn of it`() async throws {
        try await apart(timeout: .seconds(300)) {
            let (manager, address) = try Way.tcp.manager()
            let client = try await Manager.connect(to: address, authenticationKey: "key")
            let event = try await client.hostedEvent()
            let tasks = (0..<300).map { _ in Task { try await event.wait() } }
            // So that most of them wait by then.
            try await Task.sleep(for: .milliseconds(300))
            kill(manager.processIdentifier, SIGKILL)
            for task in tasks {
                let error = await failure(of: task)
                try check(error is ManagerLost, "\(String(describing: error))")
            }
        }
    }
}

/// What a task threw.
private func failure<T: Sendable>(of task: Task<T, any Error>) async -> (any Error)? {
    do {
        _ = try await task.value
        return nil
    } catch {
        return error
    }
}
