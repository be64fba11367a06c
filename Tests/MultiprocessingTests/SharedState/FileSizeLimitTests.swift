// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// Lets this process make files of so many bytes at most. Beyond that the kernel sends SIGXFSZ, by which a process ends.
private func limitFiles(to size: Int) {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
    limit.rlim_cur = rlim_t(size)
    setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
}

/// A limit on the size of files (`ulimit -f`) counts for the memory that processes share as well.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct FileSizeLimitTests {
    @Test func `with a limit on the size of files there are channels and memory that fit it`() async throws {
        try await isolated {
            limitFiles(to: 40 << 20)
            let queue = try Queue<[UInt8]>()
            let (here, there) = try Connection.pipe()
            let array = try SharedArray<Int>(count: 1000)
            let child = ChildProcess {
                try there.send(array[999])
                try queue.put([UInt8](repeating: 1, count: 1 << 20))
            }
            array[999] = 42
            try child.start()
            try checkEqual(try here.receive(Int.self), 42)
            try checkEqual(try queue.get().count, 1 << 20)
            try child.join()
            try checkEqual(child.exitCode, 0)
            try child.close()
            let refused = try checkThrows(SystemError.self) { _ = try SharedArray<UInt8>(count: 64 << 20) }
            try checkEqual(refused.code, EFBIG)
            // What goes to a child in a memory file.
            let large = [UInt8](repeating: 1, count: 48 << 20)
            var tooLarge = ""
            do { keep(try ChildProcess.run { large.count }) } catch { tooLarge = "\(error)" }
            try check(tooLarge.contains("too large"), tooLarge)
        }
    }

    @Test func `with a limit below what channels need they are refused, and nothing dies of it`() async throws {
        try await ChildProcess.run {
            limitFiles(to: 1 << 18)
            try checkEqual(try checkThrows(SystemError.self) { _ = try Queue<Int>() }.code, EFBIG)
            try checkEqual(try checkThrows(SystemError.self) { _ = try Connection.pipe() }.code, EFBIG)
            _ = try SharedArray<Int>(count: 1000)
            // No fork server either.
            _ = try checkThrows(ProcessError.self) { try ChildProcess.run {} }
        }
    }
}
