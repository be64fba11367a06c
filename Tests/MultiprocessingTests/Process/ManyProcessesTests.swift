// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// Many at once, many one after another, from many threads; and death at random moments.
@Suite(.timeLimit(.minutes(30)), .serialized, .leavesNothing)
struct ManyProcessesTests {
    @Test(arguments: [StartMethod.forkServer, .spawn, .fork])
    func `two hundred children run at once`(_ method: StartMethod) async throws {
        try await isolated {
            let gate = TestPipe()
            // A child that was not forked from here finds the pipe by the name that this process has for it.
            let path = "/proc/\(getpid())/fd/\(gate.readEnd)"
            let children = (0..<200).map { n in
                ChildProcess(startMethod: method) {
                    let descriptor = open(path, O_RDONLY)
                    var byte: UInt8 = 0
                    _ = read(descriptor, &byte, 1)
                    exit(Int32(n % 100))
                }
            }
            for child in children { try child.start() }
            try checkEqual(ChildProcess.activeChildren.count, 200)
            let bytes = [UInt8](repeating: 1, count: 200)
            try checkEqual(write(gate.writeEnd, bytes, 200), 200)
            for (n, child) in children.enumerated() {
                try check(try child.join(timeout: .seconds(30)), "child \(n) did not end")
                try checkEqual(child.exitCode, Int32(n % 100))
                try child.close()
            }
            close(gate.readEnd)
            close(gate.writeEnd)
        }
    }

    @Test(arguments: [0, 2])
    func `two thousand children one after another leave nothing behind, here and in the server`(
        _ spares: Int
    ) async throws {
        try await isolated {
            try ForkServer.setSpares(spares)
            /// The memory of this process and of the server.
            func residentPages() throws -> [Int] {
                guard let server = ForkServer.processIdentifier else { throw CheckFailed(description: "no server") }
                return [getpid(), server].map {
                    let numbers = Proc.lines("/proc/\($0)/statm").first?.split(separator: " ").compactMap { Int($0) }
                    return numbers?.dropFirst().first ?? 0
                }
            }
            /// What the server has open once the children that are on their way are there.
            func serverDescriptors() throws -> Int {
                guard let server = ForkServer.processIdentifier else { throw CheckFailed(description: "no server") }
                try checkEventually("the spares are there") { Proc.children(of: server).count == spares }
                return Proc.entries("/proc/\(server)/fd").count
            }
            func round(_ count: Int) throws {
                for n in 0..<count {
                    let child = ChildProcess { exit(Int32(n % 7)) }
                    try child.start()
                    try child.join()
                    try checkEqual(child.exitCode, Int32(n % 7))
                }
            }
            try round(500)
            let (before, descriptors) = (try residentPages(), try serverDescriptors())
            try round(1500)
            // 4 KiB pages; the allocator may round up, but nothing may grow with the number of children.
            for (after, before) in zip(try residentPages(), before) {
                try check(after - before < 256, "\(after - before) pages more after 1500 children")
            }
            try checkEventually("no descriptor is left in the server") { try serverDescriptors() <= descriptors }
        }
    }

    @Test func `children are started from many threads and tasks at once`() async throws {
        let results = try await withThrowingTaskGroup(of: Int.self) { group in
            for n in 0..<60 {
                group.addTask {
                    if n % 2 == 0 { return try await ChildProcess.run { n } }
                    let child = ChildProcess { exit(Int32(n)) }
                    try child.start()
                    try await child.join()
                    return Int(child.exitCode ?? -1)
                }
            }
            var results: [Int] = []
            for try await result in group { results.append(result) }
            return results.sorted()
        }
        #expect(results == Array(0..<60))
        try await isolated {
            try TestThreads(8) { _ in for n in 0..<20 { try checkEqual(try ChildProcess.run { n }, n) } }.join()
        }
    }

    @Test func `hundreds of threads that start children at once all get one`() async throws {
        try await isolated {
            guard let server = ForkServer.processIdentifier else { throw CheckFailed(description: "no server") }
            // Stopped, it reads no orders: they fill its socket.
            kill(server, SIGSTOP)
            let (begun, count) = (try SharedAtomic(0), 400)
            let threads = try TestThreads(count) { n in
                begun.add(1)
                let child = ChildProcess { exit(Int32(n % 100)) }
                try child.start()
                try child.join()
                try checkEqual(child.exitCode, Int32(n % 100))
            }
            defer { kill(server, SIGCONT) }
            // Each that has ordered sleeps until there is a child.
            try checkEventually("all threads wait or have failed") {
                let others = Proc.entries("/proc/self/task").compactMap { Int32($0) }.filter { $0 != getpid() }
                return begun.load() == count && others.allSatisfy { Proc.state(of: $0) != "R" }
            }
            kill(server, SIGCONT)
            try threads.join()
        }
    }

    @Test(arguments: [(StartMethod.forkServer, 400), (.spawn, 60), (.fork, 200)])
    func `a child killed before, during or after its body is told, every time`(
        _ method: StartMethod,
        _ rounds: Int
    ) async throws {
        try await isolated {
            var random = Seeded(seed: 99)
            var returned = 0
            var killed = 0
            for round in 0..<rounds {
                let pause = UInt32.random(in: 0..<300, using: &random)
                // An executable takes longer to begin; and all do where the machine is so busy that no child gets so far.
                let most: UInt32 = method == .spawn ? 20_000 : 1500
                let wait =
                    UInt32.random(in: 0..<most, using: &random)
                    * UInt32(1 + (returned == 0 ? killed : killed / (10 * (returned + 1))))
                let child = ChildProcess(startMethod: method) {
                    usleep(pause)
                    exit(5)
                }
                try child.start()
                if round % 10 != 0 { usleep(wait) }
                try child.kill()
                try check(try child.join(timeout: .seconds(60)), "round \(round) hangs")
                switch child.exitStatus {
                case .exited(5): returned += 1
                case .signaled(.kill): killed += 1
                case let status: throw CheckFailed(description: "round \(round): \(String(describing: status))")
                }
            }
            try check(returned > 0 && killed > 0, "\(returned) returned, \(killed) killed")
        }
    }
}
