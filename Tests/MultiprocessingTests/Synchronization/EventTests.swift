// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Testing

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct EventTests {
    @Test func `an event is set and cleared`() throws {
        let event = try Event()
        #expect(!event.isSet && "\(event)" == "Event(unset)")
        #expect(try !event.wait(timeout: .zero))
        #expect(try !event.wait(timeout: .seconds(-1)))
        #expect(try !event.wait(timeout: .milliseconds(5)))
        event.set()
        event.set()
        #expect(event.isSet && "\(event)" == "Event(set)")
        #expect(try event.wait(timeout: .zero) && event.wait())
        event.clear()
        event.clear()
        #expect(try !event.wait(timeout: .zero))
    }

    @Test func `setting an event releases every process that waits, also when it is cleared at once`() throws {
        let event = try Event()
        let started = try Semaphore(value: 0)
        let released = try Semaphore(value: 0)
        let children = (0..<3).map { _ in
            ChildProcess {
                try started.release()
                try event.wait()
                try released.release()
            }
        }
        for child in children { try child.start() }
        for _ in children { #expect(try started.acquire(timeout: .seconds(60))) }
        // Those who were not asleep yet are released by the last one, which is not cleared.
        for _ in 0..<3 {
            event.set()
            event.clear()
        }
        event.set()
        for _ in children { #expect(try released.acquire(timeout: .seconds(60))) }
        for child in children { try child.join() }
    }

    @Test func `a task that waits for an event ends at once when it is cancelled`() async throws {
        let event = try Event()
        let task = Task { try await event.wait() }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        event.set()
        #expect(try await event.wait())
    }

    @Test func `tasks wait with a timeout`() async throws {
        let event = try Event()
        #expect(try await event.wait(timeout: .zero) == false)
        #expect(try await event.wait(timeout: .milliseconds(5)) == false)
        let task = Task { try await event.wait(timeout: .seconds(60)) }
        event.set()
        #expect(try await task.value)
    }
}
