// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Synchronization
import Testing

/// Whether the environment has been changed often enough.
private let isChanged = Atomic<Bool>(false)

/// What a child finds around itself.
extension ChildProcessTests {
    @Test(arguments: [StartMethod.forkServer, .spawn, .fork])
    func `a child sees the surroundings of the moment`(_ method: StartMethod) async throws {
        try await isolated {
            var folder = Array("/tmp/mp-test-XXXXXX".utf8CString)
            let path = String(cString: mkdtemp(&folder))
            chdir(path)
            setenv("MP_TEST_VARIABLE", "of the moment", 1)
            unsetenv("HOME")
            umask(0o027)
            let seen = try strings(of: method) {
                let mask = umask(0)
                let home = getenv("HOME")
                return [
                    String(cString: getcwd(nil, 0)), String(cString: getenv("MP_TEST_VARIABLE")),
                    String(mask, radix: 8), home == nil ? "none" : "some",
                ]
            }
            try checkEqual(seen, [path, "of the moment", "27", "none"])
            chdir("/")
            setenv("MP_TEST_VARIABLE", "changed", 1)
            let later = try strings(of: method) {
                [String(cString: getcwd(nil, 0)), String(cString: getenv("MP_TEST_VARIABLE"))]
            }
            try checkEqual(later, ["/", "changed"])
            rmdir(path)
        }
    }

    /// What a child by that method finds.
    private func strings(of method: StartMethod, _ body: @escaping @Sendable () -> [String]) throws -> [String] {
        let (here, there) = try Connection.pipe()
        let process = ChildProcess(startMethod: method) { try there.send(body()) }
        try process.start()
        defer { _ = try? process.join() }
        return try here.receive([String].self, timeout: .seconds(60))
    }

    @Test func `the environment is sent whole while another thread changes it`() async throws {
        try await isolated {
            var thread = pthread_t()
            setenv("MP_TEST_VARIABLE", "short", 1)
            // The variable is there all the time, long or short.
            pthread_create(
                &thread,
                nil,
                { _ in
                    let long = String(repeating: "long", count: 500)
                    while !isChanged.load(ordering: .relaxed) {
                        setenv("MP_TEST_VARIABLE", long, 1)
                        setenv("MP_TEST_VARIABLE", "short", 1)
                    }
                    return nil
                },
                nil
            )
            defer {
                isChanged.store(true, ordering: .relaxed)
                pthread_join(thread, nil)
            }
            for _ in 0..<300 {
                let length = try ChildProcess.run { getenv("MP_TEST_VARIABLE").map { strlen($0) } }
                try check(length == 5 || length == 2000, "\(String(describing: length))")
            }
        }
    }

    @Test(arguments: [StartMethod.forkServer, .spawn])
    func `no descriptor of the parent reaches a child`(_ method: StartMethod) async throws {
        try await isolated {
            // Opened without close-on-exec, as C libraries do.
            let open = (0..<20).map { _ in dup(1) }
            let pipe = TestPipe()
            let saved = dup(1)
            dup2(pipe.writeEnd, 1)
            let process = ChildProcess(startMethod: method) {
                for descriptor in Proc.descriptors() { print(descriptor) }
            }
            try process.start()
            dup2(saved, 1)
            close(saved)
            try process.join()
            for descriptor in open { close(descriptor) }
            let lines = pipe.readAll().split(separator: "\n")
            // The standard three, the link, the pidfd of the parent; by `.spawn` a daemon, as the children of this process are, has its lifeline.
            let kinds = lines.map { $0.split(separator: " ").dropFirst(2).joined(separator: " ").prefix { $0 != ":" } }
            try check(kinds.count { $0 == "socket" } == 1, "\(kinds)")
            try check(lines.count == (method == .spawn ? 6 : 5), lines.joined(separator: ", "))
        }
    }

    @Test func `a parent without standard input has children`() async throws {
        try await isolated {
            close(0)
            try checkEqual(try ChildProcess.run { fcntl(0, F_GETFD) >= 0 }, true)
            let spawned = ChildProcess(startMethod: .spawn) { exit(fcntl(0, F_GETFD) >= 0 ? 5 : 6) }
            try spawned.start()
            try spawned.join()
            try checkEqual(spawned.exitCode, 5)
            // As it was, so that nothing seems left behind or lost.
            _ = open("/dev/null", O_RDONLY)
        }
    }
}
