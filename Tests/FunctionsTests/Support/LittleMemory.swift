// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing

/// Runs `body` in a process that can have 32 MiB more address space than it has at the beginning: whatever allocates by a length that the bytes only claim ends it.
func withLittleMemory(_ body: @escaping @Sendable () throws -> Void) async throws {
    try await ChildProcess.run(timeout: .seconds(300)) {
        guard let file = fopen("/proc/self/statm", "r") else { throw SystemError(code: errno, operation: "statm") }
        var pages = 0
        // The first number is the address space.
        withUnsafeMutablePointer(to: &pages) { pages in withVaList([pages]) { _ = vfscanf(file, "%ld", $0) } }
        fclose(file)
        let bytes = rlim_t(pages) * rlim_t(sysconf(Int32(_SC_PAGESIZE))) + 32 << 20
        var limit = rlimit(rlim_cur: bytes, rlim_max: bytes)
        guard setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0 else {
            throw SystemError(code: errno, operation: "limiting the address space")
        }
        try body()
    }
}

/// What a test in another process found wrong; an expectation that failed there would be heard by nobody.
struct Unexpected: Error, Codable, CustomStringConvertible {
    let description: String
}
