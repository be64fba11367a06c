// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// Many users of one connection or queue, signals, and producers that are gone at once.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ConnectionTrafficTests {
    @Test func `threads and processes that use one end at once neither mix nor tear messages`() async throws {
        try await isolated {
            let (here, there) = try Connection.pipe()
            let senders = (0..<3).map { sender in
                ChildProcess {
                    let threads = try (0..<2).map { thread in
                        try onThreadAsync {
                            for number in 0..<200 {
                                let size = number.isMultiple(of: 50) ? 300_000 : number
                                try there.send([sender * 2 + thread, number] + [Int](repeating: number, count: size))
                            }
                        }
                    }
                    for thread in threads { try thread.get() }
                }
            }
            for sender in senders { try sender.start() }
            there.close()
            var last = [Int](repeating: -1, count: 6)
            for _ in 0..<1200 {
                let message: [Int] = try here.receive(timeout: .seconds(30))
                let (sender, number) = (message[0], message[1])
                try checkEqual(number, last[sender] + 1)
                last[sender] = number
                try check(message.dropFirst(2).allSatisfy { $0 == number })
            }
            for sender in senders {
                try sender.join()
                try checkEqual(sender.exitCode, 0)
                try sender.close()
            }
        }
    }

    @Test func `signals cut no wait short`() async throws {
        try await isolated {
            let (here, there) = try Connection.pipe()
            let queue = try Queue<Int>()
            let counted = try SharedAtomic(0)
            signals = counted
            var action = sigaction()
            action.__sigaction_handler.sa_handler = { _ in _ = signals?.wrappingAdd(1) }
            sigaction(SIGALRM, &action, nil)
            var every = itimerval()
            every.it_interval.tv_usec = 500
            every.it_value.tv_usec = 500
            let listener = try Listener()
            let place = listener.address
            // Each wait lasts until so many signals have come.
            let child = ChildProcess {
                func waitForSignals(_ count: Int) {
                    while counted.load() < count { sched_yield() }
                }
                waitForSignals(20)
                try there.send(1)
                waitForSignals(40)
                try queue.put(2)
                waitForSignals(60)
                let connection = try Connection.connect(to: place)
                waitForSignals(80)
                try connection.send(3)
                waitForSignals(100)
            }
            try child.start()
            setitimer(__itimer_which_t(ITIMER_REAL.rawValue), &every, nil)
            let received = Result { try here.receive(Int.self) }
            let taken = Result { try queue.get() }
            let accepted = Result { try listener.accept() }
            let waited = Result { try Connection.wait(for: [try accepted.get()]).count }
            let joined = Result { try child.join() }
            every = itimerval()
            setitimer(__itimer_which_t(ITIMER_REAL.rawValue), &every, nil)
            signal(SIGALRM, SIG_DFL)
            signals = nil
            try checkEqual([try received.get(), try taken.get(), try waited.get()], [1, 2, 1])
            try checkEqual(try accepted.get().receive(Int.self), 3)
            try check(try joined.get())
            try checkEqual(child.exitCode, 0)
            try child.close()
        }
    }

    @Test func `what was put is there when its producer is killed right after, or ends without a farewell`()
        async throws
    {
        try await isolated {
            let queue = try Queue<[Int]>()
            let (here, there) = try Connection.pipe()
            for round in 0..<10 {
                let child = ChildProcess {
                    for number in 0..<20 { try queue.put([number, round]) }
                    try there.send(round)
                    if round.isMultiple(of: 2) { _exit(0) }
                    kill(getpid(), SIGKILL)
                }
                try child.start()
                try child.join()
                try child.close()
                try checkEqual(queue.count, 20)
                for number in 0..<20 { try checkEqual(try queue.get(timeout: .zero), [number, round]) }
                try checkEqual(try here.receive(Int.self, timeout: .zero), round)
            }
        }
    }

    @Test func `a process that stops reading holds the sender back, and killed it is the end of the file`() async throws
    {
        try await isolated {
            let (here, there) = try Connection.pipe()
            let child = ChildProcess {
                try there.send("ready")
                while true { pause() }
            }
            try child.start()
            there.close()
            try checkEqual(try here.receive(String.self), "ready")
            let block = [UInt8](repeating: 1, count: 1 << 16)
            var sent = 0
            do {
                while sent < 1000 {
                    try here.sendBytes(block, timeout: .milliseconds(20))
                    sent += 1
                }
            } catch is TimeoutError {}
            // 4 MiB are on their way at most.
            try check((1...64).contains(sent), "\(sent)")
            let waiting = try onThreadAsync { try here.sendBytes(block) }
            try child.kill()
            do {
                try waiting.get()
                throw CheckFailed(description: "sent to nobody")
            } catch let error as ConnectionError where error.code == .endOfFile {}
            try child.join()
            try child.close()
        }
    }

    @Test func `poll neither takes nor merges messages`() throws {
        let (here, there) = try Connection.pipe()
        for size in [5, 0, 70_000, 1] { try here.sendBytes([UInt8](repeating: UInt8(size & 0xff), count: size)) }
        for size in [5, 0, 70_000, 1] {
            #expect(try there.poll() && there.poll(timeout: nil))
            #expect(try there.receiveBytes().count == size)
        }
        #expect(try !there.poll() && !there.poll(timeout: .milliseconds(-5)))
    }
}

/// Where the handler counts the signals of this process.
private nonisolated(unsafe) var signals: SharedAtomic<Int>?
