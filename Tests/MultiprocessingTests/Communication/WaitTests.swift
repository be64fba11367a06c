// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

@testable import Multiprocessing

/// `Connection.wait`, and descriptors for the user's own waits.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct WaitTests {
    @Test func `a wait for things of one type returns things of that type`() async throws {
        let (a, b) = try Connection.pipe()
        try await a.send(1)
        let ready = try await Connection.wait(for: [a, b])
        #expect(try await ready[0].receive(Int.self) == 1)
        try await a.send(2)
        #expect(try onThread { try Connection.wait(for: [b, a])[0].receive(Int.self) } == 2)
        try await a.send(3)
        let mixed = try await Connection.wait(for: [b, try Queue<Int>()])
        #expect(mixed.first is Connection)
    }

    @Test func `what is ready comes back in the order it was given`() async throws {
        let pairs = try (0..<5).map { _ in try Connection.pipe() }
        let ends = pairs.map(\.0)
        #expect(try await Connection.wait(for: ends, timeout: .zero).isEmpty)
        #expect(try await Connection.wait(for: ends, timeout: .seconds(-1)).isEmpty)
        #expect(try await Connection.wait(for: ends, timeout: .milliseconds(20)).isEmpty)
        try await pairs[3].1.send(3)
        try await pairs[1].1.send(1)
        let ready = try await Connection.wait(for: ends)
        #expect(ready.count == 2 && ready[0] === ends[1] && ready[1] === ends[3])
        #expect(try await ready[0].receive(Int.self) == 1)
        #expect(try await ready[1].receive(Int.self) == 3)
        pairs[4].1.close()
        #expect(try await Connection.wait(for: ends).first === ends[4])
        #expect(try onThread { try Connection.wait(for: ends, timeout: .seconds(30)) }.first === ends[4])
        // Those that nobody closed have to be there until now.
        withExtendedLifetime(pairs) {}
    }

    @Test func `connections, streams, listeners, queues, processes and descriptors mix`() async throws {
        try await isolated {
            let (pipe, otherPipe) = try Connection.pipe()
            let listener = try Listener()
            let client = try Connection.connect(to: listener.address)
            let stream = try listener.accept()
            let queue = try Queue<Int>()
            let raw = TestPipe()
            let gate = try Event()
            let child = ChildProcess { try gate.wait() }
            try child.start()
            let objects: [any Waitable] = [pipe, stream, listener, queue, raw.readEnd, child, try child.sentinel]
            let steps: [(Set<Int>, @Sendable () throws -> Void, @Sendable () throws -> Void)] = [
                ([0], { try otherPipe.send(1) }, { try checkEqual(try pipe.receive(Int.self), 1) }),
                ([1], { try client.send(2) }, { try checkEqual(try stream.receive(Int.self), 2) }),
                ([2], { _ = try Connection.connect(to: listener.address) }, { _ = try listener.accept() }),
                ([3], { try queue.put(4) }, { try checkEqual(try queue.get(), 4) }),
                (
                    [4], { _ = write(raw.writeEnd, "x", 1) },
                    {
                        var byte: UInt8 = 0
                        try checkEqual(read(raw.readEnd, &byte, 1), 1)
                    }
                ),
            ]
            for round in 0..<10 {
                for (expected, make, take) in steps {
                    try checkEqual(try Connection.wait(for: objects, timeout: .zero).count, 0)
                    // Sometimes there before the wait, mostly not.
                    let making = try onThreadAsync(make)
                    if round.isMultiple(of: 3) { try making.get() }
                    let ready = try Connection.wait(for: objects, timeout: .seconds(30))
                    try making.get()
                    try checkEqual(ready.count, 1)
                    let index = try index(of: ready[0], in: objects)
                    try check(expected.contains(index), "\(index)")
                    try take()
                }
            }
            gate.set()
            let ended = try Connection.wait(for: objects, timeout: .seconds(30))
            try check(!ended.isEmpty && ended.allSatisfy { $0 is ChildProcess || $0 is Int32 })
            try child.join()
            try checkEqual(try Connection.wait(for: objects, timeout: .zero).count, 2)
            try child.close()
            _ = raw.readAll()
        }
    }

    /// Where something is in a list, by identity.
    private func index(of object: any Waitable, in objects: [any Waitable]) throws -> Int {
        let found = objects.firstIndex { other in
            if let (a, b) = (object as? Int32).flatMap({ a in (other as? Int32).map { (a, $0) } }) { return a == b }
            return !(object is Int32) && !(other is Int32) && (object as AnyObject) === (other as AnyObject)
        }
        guard let found else { throw TestFailure() }
        return found
    }

    @Test func `a task that waits is suspended, cancelled, and told of a close`() async throws {
        let pairs = try (0..<50).map { _ in try Connection.pipe() }
        // More tasks than there are threads for tasks.
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (here, there) in pairs {
                group.addTask {
                    let ready = try await Connection.wait(for: [here, there])
                    let number = try await here.receive(Int.self)
                    #expect(ready.count == 1 && number == 7)
                }
            }
            for (_, there) in pairs { try await there.send(7) }
            try await group.waitForAll()
        }
        let (here, there) = pairs[0]
        let cancelled = Task { try await Connection.wait(for: [here, there]).count }
        cancelled.cancel()
        await #expect(throws: CancellationError.self) { try await cancelled.value }
        let both = [here, pairs[1].0]
        let waiting = Task { try await Connection.wait(for: both) }
        let thread = try onThreadAsync { try Connection.wait(for: both) }
        here.close()
        // Closed before the wait began, or during it.
        for result in [await waiting.result, Result { try thread.get() }] {
            switch result {
            case .success(let ready): #expect(ready.count == 1 && ready.first === here)
            case .failure(let error): #expect(isCode(.closed)(error))
            }
        }
        // The other ends have to be there until now.
        withExtendedLifetime(pairs) {}
        await #expect(performing: { try await Connection.wait(for: [here]) }, throws: isCode(.closed))
        #expect(throws: SystemError.self) { try onThread { try Connection.wait(for: [Int32(-1)], timeout: .zero) } }
    }

    @Test func `with nothing to wait for, the time passes`() async throws {
        let start = ContinuousClock.now
        #expect(try await Connection.wait(for: [Connection](), timeout: .milliseconds(30)).isEmpty)
        #expect(try onThread { try Connection.wait(for: [Connection](), timeout: .milliseconds(30)).isEmpty })
        #expect(ContinuousClock.now - start >= .milliseconds(60))
        let endless = Task { try await Connection.wait(for: [Connection]()).count }
        endless.cancel()
        await #expect(throws: CancellationError.self) { try await endless.value }
    }

    @Test func `files that are always ready are`() async throws {
        let file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        #expect(try await Connection.wait(for: [file]) == [file])
    }

    @Test(arguments: [true, false])
    func `a connection's descriptor is readable when something can be received, again and again`(
        isStream: Bool
    ) async throws {
        try await isolated {
            let (here, there) = try isStream ? streamPairBlocking() : Connection.pipe()
            let other = try isStream ? here : copy(here)
            let descriptor = try here.descriptor
            try checkEqual(try here.descriptor, descriptor)
            try check(!isReadable(descriptor, 0))
            for round in 0..<200 {
                try there.send(round)
                try check(isReadable(descriptor, 60_000))
                if round.isMultiple(of: 3) { try there.send(-round) }
                // Sometimes another handle is faster, as another process may be.
                let isFaster = round.isMultiple(of: 5)
                try checkEqual(try (isFaster ? other : here).receive(Int.self), round)
                if round.isMultiple(of: 3) {
                    try check(isReadable(descriptor, 60_000))
                    try checkEqual(try here.receive(Int.self), -round)
                }
                if isFaster { try check(try !here.poll()) }
                try check(!isReadable(descriptor, 0), "round \(round)")
            }
            let waiting = try onThreadAsync { isReadable(descriptor, 60_000) }
            there.close()
            try check(try waiting.get())
            try check(isReadable(descriptor, 60_000))
        }
    }

    @Test func `a look that began before the descriptor was emptied does not make it readable`() throws {
        let ready = ReadyDescriptor()
        let descriptor = try ready.number {}
        let late = ready.emptied
        ready.empty()
        ready.fill(since: late)
        #expect(!isReadable(descriptor, 0))
        ready.fill(since: ready.emptied)
        #expect(isReadable(descriptor, 0))
    }

    @Test func `a descriptor tells of what another process sends while it is waited for`() async throws {
        try await isolated {
            let (here, there) = try Connection.pipe()
            let child = ChildProcess { for number in 0..<3000 { try there.send(number) } }
            let descriptor = try here.descriptor
            try child.start()
            there.close()
            for number in 0..<3000 {
                try check(isReadable(descriptor, 20_000), "\(number)")
                while true {
                    do {
                        try checkEqual(try here.receive(Int.self, timeout: .zero), number)
                        break
                    } catch is TimeoutError {
                        try check(isReadable(descriptor, 20_000), "\(number)")
                    }
                }
            }
            try check(isReadable(descriptor, 20_000))
            try child.join()
            try child.close()
        }
    }
}

/// Waits by poll(2), in milliseconds.
private func isReadable(_ descriptor: Int32, _ timeout: Int32) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&entry, 1, timeout) == 1
}

/// The two ends of a stream connection in this process.
private func streamPairBlocking() throws -> (Connection, Connection) {
    let listener = try Listener()
    let connector = try Connection.connect(to: listener.address)
    return (try listener.accept(), connector)
}
