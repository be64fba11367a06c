// SPDX-License-Identifier: Apache-2.0

import CLaboratory
import Glibc
import Multiprocessing
import Synchronization
import Testing

@inline(never)
@Sendable private func recurse(_ n: Int) -> Int {
    var values = (n, n + 1, n + 2, n + 3)
    return withUnsafeBytes(of: &values) { $0.count } + recurse(n + 1) + values.0
}

/// Reads where nothing is, with so many calls to tell of.
@inline(never)
@Sendable private func crash(_ depth: Int) -> Int {
    depth == 0 ? UnsafePointer<Int>(bitPattern: 8)?.pointee ?? 0 : crash(depth - 1) + 1
}

/// What the first of two threads that crash waits for.
private let mayCrash = Atomic<Bool>(false)

/// Crashes on one thread, and so many microseconds later on another, which the processor prefers.
private func crashTwice(pause: Int) -> Int {
    guard laboratory_use_one_processor() == 0 else { return 1 }
    // A report tells it; without one nothing is told.
    laboratory_say("Fatal error: said before\n")
    var thread = pthread_t()
    pthread_create(
        &thread,
        nil,
        { _ in
            laboratory_prefer_others()
            while !mayCrash.load(ordering: .relaxed) { usleep(100) }
            return UnsafeMutableRawPointer(bitPattern: crash(100))
        },
        nil
    )
    usleep(1000)
    mayCrash.store(true, ordering: .relaxed)
    laboratory_sleep(1000 * pause)
    return crash(0)
}

/// What the caller is told of a process that ended without a result.
extension RunTests {
    @Test func `a trap tells its signal, its words and its place`() async throws {
        let index = 5
        let error = await #expect(throws: ProcessLost.self) {
            try await ChildProcess.run { () -> Int in
                precondition(index < 3, "the index is too large")
                return index
            }
        }
        #expect(error?.code == .crashed)
        #expect(error?.status == .signaled(.illegalInstruction) || error?.status == .signaled(.trap))
        #expect((error?.processIdentifier ?? 0) > 0)
        #expect(error?.processName.hasPrefix("Process-") == true)
        #if DEBUG
        #expect(error?.message?.contains("the index is too large") == true)
        #endif
        let fatal = await #expect(throws: ProcessLost.self) {
            try await ChildProcess.run { () -> Int in fatalError("index \(index)") }
        }
        #expect(fatal?.message?.contains("Fatal error: index 5") == true)
        #if DEBUG
        // A release build keeps no names of private functions.
        #expect(fatal?.backtrace.contains { $0.contains("closure") } == true, "\(fatal?.backtrace ?? [])")
        #endif
        #expect(fatal?.backtrace.isEmpty == false)
        #expect(fatal?.description.contains("Fatal error: index 5") == true)
    }

    @Test func `a crash in C tells its signal`() async throws {
        let error = await #expect(throws: ProcessLost.self) { try await ChildProcess.run { () -> Int in abort() } }
        #expect(error?.status == .signaled(.abort))
        #expect(error?.code == .crashed)
        let access = await #expect(throws: ProcessLost.self) {
            try await ChildProcess.run { () -> Int in UnsafePointer<Int>(bitPattern: 8)?.pointee ?? 0 }
        }
        #expect(access?.status == .signaled(.segmentationFault))
    }

    @Test func `a trap on another thread of the child is told`() async throws {
        let error = await #expect(throws: ProcessLost.self) {
            try await ChildProcess.run { () async throws -> Int in
                try await Task.sleep(for: .milliseconds(1))
                fatalError("in a task")
            }
        }
        #expect(error?.message?.contains("in a task") == true)
    }

    @Test func `a crash is told although another thread crashes before it was`() async throws {
        // Not `#expect` for each, which would describe the errors: their stacks take a second each.
        var untold = 0
        for round in 0..<40 {
            do {
                keep(try await ChildProcess.run { crashTwice(pause: round % 20 * 5) })
            } catch let error as ProcessLost {
                if error.message != "Fatal error: said before" { untold += 1 }
            }
        }
        #expect(untold == 0)
    }

    @Test func `a stack overflow on any thread is told with its place`() async throws {
        let inTask = await #expect(throws: ProcessLost.self) {
            try await ChildProcess.run { () async throws -> Int in
                try await Task.sleep(for: .milliseconds(1))
                return recurse(0)
            }
        }
        let onThread = await #expect(throws: ProcessLost.self) {
            try await ChildProcess.run { () -> Int in
                var thread = pthread_t()
                pthread_create(&thread, nil, { _ in UnsafeMutableRawPointer(bitPattern: recurse(0)) }, nil)
                return Int(pthread_join(thread, nil))
            }
        }
        let onMainThread = await #expect(throws: ProcessLost.self) { try await ChildProcess.run { recurse(0) } }
        for error in [inTask, onThread, onMainThread] {
            #expect(error?.status == .signaled(.segmentationFault))
            #expect(error?.backtrace.isEmpty == false)
            #if DEBUG
            #expect(error?.backtrace.contains { $0.contains("recurse") } == true, "\(error?.backtrace ?? [])")
            #endif
        }
    }

    @Test func `a thread gives its second stack back`() async throws {
        let mappings = try await ChildProcess.run {
            func run(_ count: Int) {
                for n in 0..<count {
                    var thread = pthread_t()
                    // Every second one leaves in the middle.
                    pthread_create(
                        &thread,
                        nil,
                        { argument in
                            if argument != nil { pthread_exit(nil) }
                            return nil
                        },
                        UnsafeMutableRawPointer(bitPattern: n % 2)
                    )
                    pthread_join(thread, nil)
                }
            }
            run(2)
            let before = Proc.lines("/proc/self/maps").count
            run(100)
            return Proc.lines("/proc/self/maps").count - before
        }
        #expect(mappings < 10)
    }

    @Test func `an end without a result is an error of its own`() async throws {
        let quiet = await #expect(throws: ProcessLost.self) { try await ChildProcess.run { () -> Int in exit(0) } }
        #expect(quiet?.code == .exitedWithoutResult)
        #expect(quiet?.status == .exited(0))
        let loud = await #expect(throws: ProcessLost.self) { try await ChildProcess.run { () -> Int in exit(3) } }
        #expect(loud?.code == .exited)
        let killed = await #expect(throws: ProcessLost.self) {
            try await ChildProcess.run { () -> Int in
                raise(SIGKILL)
                return 1
            }
        }
        #expect(killed?.code == .killed)
        #expect(killed?.status == .signaled(.kill))
    }
}
