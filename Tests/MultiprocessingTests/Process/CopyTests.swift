// SPDX-License-Identifier: Apache-2.0

import CLaboratory
import Glibc
import Multiprocessing
import Synchronization
import Testing

private let isInside = Atomic<Bool>(false)
private let mayLeave = Atomic<Bool>(false)
private let isOver = Atomic<Bool>(false)

/// A lazily made value that is not there before this process was about to be copied three times.
private let patient: Int = {
    isInside.store(true, ordering: .releasing)
    while laboratory_forks() < 3 { sched_yield() }
    return 42
}()

/// A lazily made value that is made for as long as `mayLeave` says.
private let endless: Int = {
    isInside.store(true, ordering: .releasing)
    while !mayLeave.load(ordering: .acquiring) { usleep(1000) }
    return 43
}()

/// Runs a copy of this process, which has to end with 0.
private func runCopy(_ body: @escaping @Sendable () throws -> Void) throws {
    let child = ChildProcess(startMethod: .fork) { try body() }
    try child.start()
    try child.join()
    try checkEqual(child.exitStatus, .exited(0))
    try child.close()
}

/// Copies of a process that has other threads.
@Suite(.timeLimit(.minutes(30)), .leavesNothing) struct CopyTests {
    @Test func `a copy never waits for a lazy value that another thread was making`() async throws {
        try await isolated {
            laboratory_count_forks()
            let maker = try onThreadAsync { try checkEqual(patient, 42) }
            try checkEventually("nobody makes it") { isInside.load(ordering: .acquiring) }
            try runCopy { try checkEqual(patient, 42) }
            try check(laboratory_forks() >= 3, "\(laboratory_forks()) attempts were enough")
            try maker.get()
        }
    }

    @Test func `a lock that is never given back keeps a process from being copied for a second, once`() async throws {
        try await isolated {
            let maker = try onThreadAsync { try checkEqual(endless, 43) }
            try checkEventually("nobody makes it") { isInside.load(ordering: .acquiring) }
            laboratory_count_forks()
            try runCopy {}
            let attempts = laboratory_forks()
            try check(attempts >= 3, "\(attempts) attempts were enough")
            try runCopy {}
            // The runtime's own may have been held, for a moment each.
            try check(laboratory_forks() - attempts < 20, "\(laboratory_forks()) attempts for a lock that is known")
            mayLeave.store(true, ordering: .releasing)
            try maker.get()
        }
    }

    @Test func `copies go on where other threads use the runtime all the time`() async throws {
        try await isolated {
            let users = try (0..<3).map { _ in
                try onThreadAsync {
                    // Questions that the runtime keeps no answer for, or takes a lock to keep one.
                    var number = 0
                    while !isOver.load(ordering: .relaxed) {
                        number += 1
                        let value: Any = number.isMultiple(of: 2) ? [number: "\(number)"] : (number, "\(number)")
                        if value is any Encodable { keep(value) }
                        keep(_typeByName("Say\(number % 100)G") as Any)
                    }
                }
            }
            for _ in 0..<20 {
                try runCopy {
                    let value: Any = [1: [2: "3"]]
                    try check(value is any Encodable)
                    try check(_typeByName("SaySiG") != nil)
                }
            }
            isOver.store(true, ordering: .relaxed)
            for user in users { try user.get() }
        }
    }
}
