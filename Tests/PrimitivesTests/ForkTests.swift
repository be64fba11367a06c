// SPDX-License-Identifier: Apache-2.0

import CLaboratory
import CMultiprocessing
import Glibc
import Laboratory
import MultiprocessingPrimitives
import Synchronization
import Testing

/// A lock of the standard library, for two threads.
private final class Guarded: Sendable {
    let count = Mutex(0)
}

/// This thread's variables of the executable in which the runtime keeps the thread's number: one for each file that the standard library's mutex was inlined into.
private func threadNumbers() throws -> [UnsafeMutablePointer<UInt32>] {
    var variables: UnsafeMutableRawPointer?
    LoadedImage.forEach { image in
        // The executable comes first.
        variables = image.threadVariables
        return false
    }
    guard let variables, let table = SymbolTable(path: "/proc/self/exe") else {
        throw LaboratoryFailure(description: "no symbols")
    }
    var numbers: [UnsafeMutablePointer<UInt32>] = []
    table.forEach { symbol in
        if symbol.isThreadLocal, String(cString: symbol.name).hasPrefix("_swift_stdlib_gettid") {
            numbers.append((variables + Int(symbol.address)).assumingMemoryBound(to: UInt32.self))
        }
    }
    return numbers
}

extension PrimitivesTests {
    /// What a forked process may rely on.
    @Suite(.timeLimit(.minutes(30))) struct ForkTests {
        @Test func `a forked process's threads contend for the standard library's locks`() async throws {
            try await Laboratory.run {
                // The runtime remembers this thread's number from here on.
                Guarded().count.withLock { $0 += 1 }
                let child = try ForkedProcess {
                    let guarded = Guarded()
                    let (begun, ended) = (SharedWord(.allocate(capacity: 1)), SharedWord(.allocate(capacity: 1)))
                    begun.initialize(0)
                    ended.initialize(0)
                    try guarded.count.withLock { count in
                        try Thread.start(name: "mp-test") {
                            begun.store(1)
                            guarded.count.withLock { $0 += 1 }
                            ended.exchange(1)
                            ended.wake(1)
                        }
                        try waitFor("the other thread") { begun.load() == 1 }
                        // Long enough for it to find the lock held; if not, this says nothing.
                        for _ in 0..<100_000 { mp_pause() }
                        count += 1
                    }
                    let deadline = Deadline(timeout: .seconds(60))
                    while ended.load() == 0 {
                        let result = ended.wait(while: 0, until: deadline)
                        try require(result != .timedOut, "the other thread does not get the lock")
                    }
                    try require(guarded.count.withLock { $0 } == 2, "the lock protects nothing")
                }
                try require(try child.join() == 0, "the child failed")
            }
        }

        @Test func `a forked process forgets its parent's number in every file that has a mutex`() async throws {
            try await Laboratory.run {
                let numbers = try threadNumbers()
                try require(numbers.count > 1, "the tests' files have \(numbers.count) mutexes")
                let parent = UInt32(laboratory_thread_id())
                for number in numbers { number.pointee = parent }
                let child = try ForkedProcess {
                    let kept = numbers.filter { $0.pointee == parent }
                    try require(kept.isEmpty, "\(kept.count) of \(numbers.count) files have the parent's number")
                }
                try require(try child.join() == 0, "the child failed")
            }
        }

        @Test func `a program's own variable that has the number of the thread keeps it in a forked process`()
            async throws
        {
            try await Laboratory.run {
                // The runtime has variables of its own with that number.
                Guarded().count.withLock { $0 += 1 }
                let number = UInt32(laboratory_thread_id())
                laboratory_thread_variable().pointee = number
                let child = try ForkedProcess {
                    try require(laboratory_thread_variable().pointee == number, "the variable was changed")
                    try require(laboratory_thread_id() != Int32(number), "this is the same thread")
                }
                try require(try child.join() == 0, "the child failed")
            }
        }

        @Test func `a variable of a library without Swift that has the number of the thread keeps it in a fork`()
            async throws
        {
            try await Laboratory.run {
                // One of the C library's, which has no symbol table as a rule. Others of its variables are addresses, whose upper halves are numbers that threads have as well.
                let number = laboratory_thread_id()
                __h_errno_location().pointee = number
                let child = try ForkedProcess {
                    try require(__h_errno_location().pointee == number, "the variable was changed")
                }
                try require(try child.join() == 0, "the child failed")
            }
        }

        @Test func `the upper half of an address is no number of a thread`() {
            withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 2) { words in
                words[0] = UInt64(UInt(bitPattern: words.baseAddress))
                words[1] = 21_000 << 32 | 7
                let halves = UnsafeRawBufferPointer(words).bindMemory(to: UInt32.self)
                let isUpperHalf = (0..<4).map { index in halves.baseAddress.map { Fork.isUpperHalf($0 + index) } }
                #expect(isUpperHalf == [false, true, false, false])
            }
        }
    }
}
