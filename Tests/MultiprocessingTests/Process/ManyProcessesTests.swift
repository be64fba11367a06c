// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// Many at once, many one after another, from many threads; and death at random moments.
@Suite(.timeLimit(.minutes(10)), .serialized, .leavesNothing)
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

    @Test func `two thousand children one after another leave nothing behind`() async throws {
        try await isolated {
            func residentPages() -> Int {
                Proc.lines("/proc/self/statm").first?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
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
            let before = residentPages()
            try round(1500)
            let growth = residentPages() - before
            // 4 KiB pages; the allocator may round up, but nothing may grow with the number of children.
            try check(growth < 256, "\(growth) pages more after 1500 children")
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
            let count = 8
            var threads: [pthread_t] = []
            for _ in 0..<count {
                var thread = pthread_t()
                pthread_create(
                    &thread,
                    nil,
                    { _ in
                        for n in 0..<20 where (try? ChildProcess.run { n }) != n {
                            return UnsafeMutableRawPointer(bitPattern: 1)
                        }
                        return nil
                    },
                    nil
                )
                threads.append(thread)
            }
            for thread in threads {
                var result: UnsafeMutableRawPointer?
                pthread_join(thread, &result)
                try check(result == nil, "a thread lost a result")
            }
        }
    }

    @Test func `a child killed before, during or after its body is told, every time`() async throws {
        try await isolated {
            var random = Seeded(seed: 99)
            var returned = 0
            var killed = 0
            for round in 0..<400 {
                let pause = UInt32.random(in: 0..<300, using: &random)
                // Longer where the machine is so busy that no child gets so far.
                let wait = UInt32.random(in: 0..<1500, using: &random) * UInt32(1 + killed / (10 * (returned + 1)))
                let child = ChildProcess {
                    usleep(pause)
                    exit(5)
                }
                try child.start()
                if round % 10 != 0 { usleep(wait) }
                try child.kill()
                try check(try child.join(timeout: .seconds(20)), "round \(round) hangs")
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
