// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc
import Testing

@testable import Multiprocessing

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ManagerRestartTests {
    @Test func `a manager comes back with fresh values, and all handles stand for these`() async throws {
        try await isolated {
            let manager = try Manager(restart: .withFreshValues())
            let start = 5
            let number = try manager.host { start }
            let list = try manager.list([1, 2])
            try list.append(3)
            let (here, there) = try Connection.pipe()
            let (news, teller) = try Connection.pipe()
            let process = ChildProcess {
                try number.withValue { $0 += 100 }
                try teller.send("ready")
                _ = try there.receive(String.self)
                // Its handle is of the manager that is gone; the call goes to the one that came.
                while true {
                    do {
                        try teller.send("\(try number.withValue { $0 })")
                        return
                    } catch is ManagerLost {}
                }
            }
            try process.start()
            there.close()
            teller.close()
            try checkEqual(try news.receive(String.self), "ready")
            for round in 0..<3 {
                let pid = manager.processIdentifier
                let index = 9
                let lost = try managerLost { try list.managed.withValue { $0[index] } }
                try checkEqual(lost.code, .crashed)
                try checkEqual(lost.processIdentifier, pid)
                var value: [Int]?
                // A call that came before the channel was known to be gone is lost too.
                while value == nil { value = try? list.value() }
                try checkEqual(value, [1, 2])
                try list.append(round)
                try check(manager.isAlive)
                try check(manager.processIdentifier != pid)
            }
            try here.send("go on")
            try checkEqual(try news.receive(String.self), "5")
            try process.join()
            try process.close()
            // New values get numbers of their own.
            let other = try manager.list(["a"])
            try checkEqual(try other.value(), ["a"])
            try checkEqual(try list.value(), [1, 2, 2])
            try manager.shutdown()
            try checkEqual(try managerLost { try list.count() }.code, .shutDown)
        }
    }

    @Test func `a value that is made with the help of another one of its manager is made so anew`() async throws {
        try await isolated {
            let manager = try Manager(restart: .withFreshValues())
            let list = try manager.list([1, 2])
            let sum = try manager.host {
                try list.append(3)
                return try list.value().reduce(0, +)
            }
            try checkEqual(try sum.withValue { $0 }, 6)
            for _ in 0..<2 {
                try list.append(100)
                kill(manager.processIdentifier, SIGKILL)
                var value: Int?
                while value == nil { value = try? sum.withValue { $0 } }
                try checkEqual(value, 6)
                try checkEqual(try list.value(), [1, 2, 3])
            }
            try manager.shutdown()
        }
    }

    @Test func `a value whose last handle goes while values are made anew is not kept`() async throws {
        try await isolated {
            let manager = try Manager(restart: .withFreshValues())
            let makes = try SharedAtomic(0)
            let (entered, gate) = (try Event(), try Event())
            let first = try manager.host {
                if makes.add(1).oldValue > 0 {
                    entered.set()
                    _ = try gate.wait(timeout: .seconds(60))
                }
                return 1
            }
            var (witness, news): (Managed<Witness>?, Connection) = try makeWitness(manager)
            kill(manager.processIdentifier, SIGKILL)
            try check(try entered.wait(timeout: .seconds(60)))
            witness = nil
            _ = witness
            gate.set()
            try checkEqual(try news.receive(String.self, timeout: .seconds(60)), "gone")
            var value: Int?
            while value == nil { value = try? first.withValue { $0 } }
            try checkEqual(value, 1)
            try manager.shutdown()
        }
    }

    @Test func `a manager that is shut down while it comes back is gone then`() async throws {
        try await isolated {
            for _ in 0..<10 {
                let manager = try Manager(restart: .withFreshValues())
                let starts = try SharedArray<Int32>(count: 8)
                let started = try SharedAtomic(0)
                let value = try manager.host {
                    starts[started.add(1).oldValue] = getpid()
                    return 1
                }
                try value.withValue { $0 += 1 }
                kill(manager.processIdentifier, SIGKILL)
                try manager.shutdown()
                let pids = starts.prefix(started.load())
                // Gone already: not even the moment until it ends is waited for here.
                try checkEqual(pids.filter { kill($0, 0) == 0 }, [])
            }
        }
    }

    @Test func `the first call after a restart of one that made none meanwhile is made`() async throws {
        try await isolated {
            let manager = try Manager(restart: .withFreshValues())
            let number = try manager.host { 5 }
            let (here, there) = try Connection.pipe()
            let process = ChildProcess {
                for _ in 0..<3 {
                    try checkEqual(try number.withValue { $0 }, 5)
                    try number.withValue { $0 += 1 }
                    try there.send(0)
                    _ = try there.receive(Int.self)
                }
                // From a task, and one that is asked about later.
                let later = try number.withValueAsync { $0 }
                try checkEqual(try later.get(), 5)
                try there.send(0)
            }
            try process.start()
            // So that its end is an error here.
            there.close()
            for _ in 0..<3 {
                _ = try here.receive(Int.self)
                kill(manager.processIdentifier, SIGKILL)
                let deadline = ContinuousClock.now + .seconds(100)
                var outcome: Result<Int, any Error>?
                while (try? outcome?.get()) != 5 {
                    try check(ContinuousClock.now < deadline, "after 100 s: \(String(describing: outcome))")
                    outcome = Result { try number.withValue { $0 } }
                }
                try here.send(0)
            }
            _ = try here.receive(Int.self)
            try finish(process)
            try manager.shutdown()
        }
    }

    @Test func `who is told by others that there is a new process needs no word of the kernel of the old one's end`()
        async throws
    {
        try await isolated {
            let manager = try Manager(restart: .withFreshValues())
            let number = try manager.host { 5 }
            let (here, there) = try Connection.pipe()
            let process = ChildProcess {
                try number.withValue { $0 += 1 }
                // The thread that hears of hang-ups is busy from now on.
                let (isBusy, mayGoOn) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
                _ = try Runtime.shared().reactor.waitUntil(.passed) { _ in
                    isBusy.signal()
                    mayGoOn.wait()
                }
                isBusy.wait()
                defer { mayGoOn.signal() }
                try there.send(0)
                _ = try there.receive(Int.self)
                try checkEqual(try number.withValue { $0 }, 5)
            }
            try process.start()
            there.close()
            _ = try here.receive(Int.self)
            kill(manager.processIdentifier, SIGKILL)
            try checkEventually("it does not come back") { (try? number.withValue { $0 }) == 5 }
            try here.send(0)
            try finish(process)
            try manager.shutdown()
        }
    }

    @Test func `a manager whose value cannot be made again is lost, and not shut down`() async throws {
        try await isolated {
            let manager = try Manager(restart: .withFreshValues())
            let isLater = try Event()
            let number = try manager.host {
                if isLater.isSet { throw TooMany(count: 1) }
                return 5
            }
            try checkEqual(try number.withValue { $0 }, 5)
            isLater.set()
            kill(manager.processIdentifier, SIGKILL)
            while manager.isAlive { _ = try managerLost { try number.withValue { $0 } } }
            let lost = try managerLost { try number.withValue { $0 } }
            try checkEqual(lost.code, .killed)
            try check(lost.message?.contains("could not be restarted") == true, "\(lost)")
        }
    }

    @Test func `a value that cannot be made again because another manager is lost ends its manager as well`()
        async throws
    {
        try await isolated {
            let manager = try Manager(restart: .withFreshValues())
            let isLater = try Event()
            let number = try manager.host {
                // As a call of the other one would.
                if isLater.isSet { throw ManagerLost(.exited, status: .exited(3), processIdentifier: 1) }
                return 5
            }
            isLater.set()
            kill(manager.processIdentifier, SIGKILL)
            while manager.isAlive { _ = try managerLost { try number.withValue { $0 } } }
            let lost = try managerLost { try number.withValue { $0 } }
            try checkEqual(lost.code, .killed)
            try check(lost.message?.contains("could not be restarted") == true, "\(lost)")
        }
    }

    @Test func `a manager that dies again and again stays dead`() async throws {
        try await isolated {
            let manager = try Manager(restart: .withFreshValues(limit: 2))
            let number = try manager.host { 1 }
            var deaths = Set<Int32>()
            while manager.isAlive {
                let index = 3
                deaths.insert(try managerLost { try number.withValue { _ in [0][index] } }.processIdentifier)
            }
            try checkEqual(deaths.count, 3)
            try checkEqual(try managerLost { try number.withValue { $0 } }.code, .crashed)
        }
    }
}
