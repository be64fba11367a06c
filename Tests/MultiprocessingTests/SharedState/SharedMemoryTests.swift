// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct SharedMemoryTests {
    /// A name no other test run uses.
    private let name = "mp-test-\(getpid())-\(UInt64.random(in: 0 ... .max)):\n"

    @Test func `memory without a name is shared with a child and zero at first`() throws {
        let memory = try SharedMemory(size: 100)
        #expect(memory.size == 100 && memory.name == nil && memory.bytes.byteCount == 100)
        try ChildProcess.run {
            var bytes = memory.mutableBytes
            bytes.storeBytes(of: 42, toByteOffset: 8, as: Int.self)
        }
        #expect(memory.bytes.unsafeLoad(fromByteOffset: 8, as: Int.self) == 42)
        #expect(memory.bytes.unsafeLoad(fromByteOffset: 16, as: Int.self) == 0)
        #expect { try memory.unlink() } throws: { ($0 as? SharedStateError)?.code == .doesNotExist }
    }

    @Test func `memory that the machine does not have is refused, also without a descriptor to ask with`() throws {
        try ChildProcess.run {
            // Should it not be refused, this process dies of that and the machine does not.
            var largest = rlimit(rlim_cur: 1 << 30, rlim_max: 1 << 30)
            setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &largest)
            var few = rlimit(rlim_cur: 0, rlim_max: 0)
            getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &few)
            let next = open("/dev/null", O_RDONLY)
            close(next)
            for more in [1, 2, 100] {
                few.rlim_cur = rlim_t(Int(next) + more)
                setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &few)
                do {
                    _ = try SharedMemory(size: 1 << 50)
                    try check(false, "there is a pebibyte")
                } catch {
                    try check("\(error)".contains("available"), "\(error)")
                }
            }
        }
    }

    @Test func `memory with a name is found by it until it is unlinked`() throws {
        let memory = try SharedMemory(name: name, create: true, size: 5000)
        memory.withUnsafeMutableBytes { $0[4999] = 7 }
        #expect { try SharedMemory(name: name, create: true, size: 1) } throws: {
            ($0 as? SharedStateError)?.code == .alreadyExists
        }
        // The size given for what exists does not matter.
        let other = try SharedMemory(name: name, size: 3)
        #expect(other.size == 5000 && other.withUnsafeMutableBytes { $0[4999] } == 7)
        let there = try ChildProcess.run { [name] () throws -> UInt8 in try lastByte(SharedMemory(name: name)) }
        #expect(there == 7)
        try other.unlink()
        #expect { try memory.unlink() } throws: { ($0 as? SharedStateError)?.code == .doesNotExist }
        #expect { try SharedMemory(name: name) } throws: { ($0 as? SharedStateError)?.code == .doesNotExist }
        // It lives on with its users, and can still be sent.
        #expect(try ChildProcess.run { lastByte(memory) } == 7)
    }

    @Test(arguments: ["", "a/b", "a\0b", ".", "..", String(repeating: "x", count: 256)])
    func `names that cannot be are errors`(name: String) {
        for create in [true, false] {
            #expect { try SharedMemory(name: name, create: create, size: 1) } throws: {
                ($0 as? SharedStateError)?.code == .invalidName
            }
        }
    }

    @Test(arguments: [":", "\n", " ", "ü", "-", "%s", "\u{7f}"])
    func `a name may have anything in it but a slash and a zero byte`(part: String) throws {
        let name = name + part + "end"
        let memory = try SharedMemory(name: name, create: true, size: 10)
        #expect(memory.name == name && Proc.entries("/dev/shm").contains(name))
        let size = try ChildProcess.run { try SharedMemory(name: name).size }
        #expect(size == 10)
        try memory.unlink()
        #expect(!Proc.entries("/dev/shm").contains(name))
    }

    @Test(arguments: [0, -1, Int.min]) func `sizes that cannot be are errors`(size: Int) {
        #expect { try SharedMemory(size: size) } throws: { ($0 as? SharedStateError)?.code == .invalidSize }
        #expect { try SharedMemory(name: name, create: true, size: size) } throws: {
            ($0 as? SharedStateError)?.code == .invalidSize
        }
    }

    @Test func `more memory than the machine has is an error, not a crash later`() {
        #expect(throws: (any Error).self) { try SharedMemory(size: 1 << 44) }
        #expect(throws: (any Error).self) { try SharedMemory(name: name, create: true, size: 1 << 44) }
        #expect { try SharedMemory(name: name) } throws: { ($0 as? SharedStateError)?.code == .doesNotExist }
    }

    @Test(.enabled(if: system("unshare -rm true 2>/dev/null") == 0, "needs a name space of its own"))
    func `named memory that its file system has no room for is an error, and no name is left`() throws {
        let command = "mount -t tmpfs -o size=64k none /dev/shm && exec '\(Fixture.path)' full-memory"
        let result = try Fixture("-rm", "/bin/sh", "-c", command, path: "/usr/bin/unshare").finish()
        #expect(result.output == ["true", "true", "4096"], "\(result)")
    }

    @Test func `a process killed while it makes named memory leaves no name`() throws {
        let child = ChildProcess { [name] in
            while true { try SharedMemory(name: name, create: true, size: 1 << 20).unlink() }
        }
        try child.start()
        var seen = 0
        while seen < 100 {
            // Whoever finds it finds all of it.
            if let found = try? SharedMemory(name: name) {
                #expect(found.size == 1 << 20)
                seen += 1
            }
        }
        try child.kill()
        try child.join()
        try? SharedMemory(name: name).unlink()
    }

    @Test func `handles are closed and unmapped with their last reference`() async throws {
        // In a process where nobody else has any.
        try await isolated {
            func use() throws {
                let memory = try SharedMemory(size: 1 << 16)
                let array = try copy(try SharedArray<Int>(count: 1000))
                let lock = try copy(try Lock())
                try lock.withLock { array[0] = memory.size }
            }
            try use()
            let before = Proc.entries("/proc/self/fd").count
            for _ in 0..<100 { try use() }
            let after = Proc.entries("/proc/self/fd").count
            try check(after <= before, "\(before) descriptors became \(after)")
        }
    }
}

/// The last byte of the memory.
private func lastByte(_ memory: SharedMemory) -> UInt8 {
    memory.withUnsafeMutableBytes { $0[memory.size - 1] }
}
