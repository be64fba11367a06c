// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// The limit on open files, and that on addresses, as `setrlimit` wants them.
private let files = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
private let addresses = __rlimit_resource_t(RLIMIT_AS.rawValue)

/// Lets this process have only so many more of something.
private func limit(_ resource: __rlimit_resource_t, to count: Int) {
    var limit = rlimit()
    getrlimit(resource, &limit)
    limit.rlim_cur = min(rlim_t(count), limit.rlim_max)
    setrlimit(resource, &limit)
}

/// Lets this process open only so many more files. Numbers are given out from the lowest that is free.
private func leaveDescriptors(_ count: Int32) {
    let next = dup(0)
    close(next)
    limit(files, to: Int(next + count))
}

/// Takes limits back.
private func lift(_ resource: __rlimit_resource_t) {
    limit(resource, to: 1 << 40)
}

/// A result after whose encoding there are hardly any addresses left.
private struct Heavy: Codable, Sendable {
    init() {}

    init(from decoder: any Decoder) throws {}

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode([UInt8](repeating: 1, count: 40 << 20))
        limit(addresses, to: Self.addressesInUse + 16 << 20)
    }

    private static var addressesInUse: Int {
        var text = [UInt8](repeating: 0, count: 200)
        let file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        let count = max(0, read(file, &text, text.count))
        let pages = String(decoding: text.prefix(count), as: UTF8.self).split(separator: " ").first
        return (pages.flatMap { Int($0) } ?? 0) * 4096
    }
}

/// What is short, or too large, fails one call and nothing else.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ManagerShortageTests {
    @Test func `what is larger than a message may be fails its own call`() async throws {
        try await isolated {
            // Channels have the size that files may have when they are made.
            signal(SIGXFSZ, SIG_IGN)
            let sizes = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
            limit(sizes, to: 32 << 20)
            let manager = try Manager()
            let bytes = try manager.host { [UInt8]() }
            lift(sizes)
            let large = [UInt8](repeating: 1, count: 20 << 20)
            let refused = try checkThrows(ManagerError.self) {
                try bytes.withValue(with: large) { $0 = $1 }
            }
            try checkEqual(refused.code, .tooLarge)
            try checkEqual(try bytes.withValue { $0.count }, 0)
            // The answer, of a call that is made.
            let unanswered = try checkThrows(ManagerError.self) {
                _ = try bytes.withValue { bytes in
                    bytes = [UInt8](repeating: 2, count: 20 << 20)
                    return bytes
                }
            }
            try checkEqual(unanswered.code, .tooLarge)
            try checkEqual(try bytes.withValue { $0.count }, 20 << 20)
            try manager.shutdown()
        }
    }

    @Test func `an answer for which there is no memory is refused, and the client goes on`() async throws {
        try await isolated {
            let manager = try Manager()
            let number = try manager.host { 0 }
            try number.withValue { $0 += 1 }
            let short = try checkThrows(ManagerError.self) {
                _ = try number.withValue { number in
                    number += 1
                    return Heavy()
                }
            }
            try checkEqual(short.code, .shortage)
            try number.withValue { _ in lift(addresses) }
            try checkEqual(try number.withValue { $0 }, 2)
            try manager.shutdown()
        }
    }

    @Test func `a client without descriptors loses the answer with handles, and no other`() async throws {
        try await isolated {
            let manager = try Manager()
            let lists = try manager.list(of: ManagedList<Int>.self)
            for number in 0..<10 { try lists.append(try manager.list([number])) }
            let number = try manager.host { 0 }
            let (entered, gate) = (try Event(), try Event())
            let waiting = try onThreadAsync {
                try number.withValue { number in
                    entered.set()
                    _ = try gate.wait(timeout: .seconds(60))
                    number += 1
                    return number
                }
            }
            try check(try entered.wait(timeout: .seconds(60)))
            leaveDescriptors(5)
            var short: (any Error)?
            do { _ = try lists.value() } catch { short = error }
            lift(files)
            try checkEqual((short as? SystemError)?.code, EMFILE)
            // What was under way, and what comes later.
            gate.set()
            try checkEqual(try waiting.get(), 1)
            try checkEqual(try lists.value().map { try $0.element(at: 0) }, Array(0..<10))
            try manager.shutdown()
        }
    }

    @Test func `a manager without descriptors refuses the request with handles, and no other`() async throws {
        try await isolated {
            let manager = try Manager()
            let number = try manager.host { 0 }
            let locks = try manager.list(of: Lock.self)
            let lock = try Lock()
            try locks.append(lock)
            try number.withValue { _ in leaveDescriptors(0) }
            let short = try checkThrows(ManagerError.self) { try locks.append(lock) }
            try checkEqual(short.code, .shortage)
            try checkEqual(try locks.count(), 1)
            try number.withValue { _ in lift(files) }
            try locks.append(lock)
            try checkEqual(try locks.count(), 2)
            try manager.shutdown()
        }
    }

    @Test func `a client that a manager without descriptors cannot let in comes in later`() async throws {
        try await isolated {
            let manager = try Manager()
            let number = try manager.host { 7 }
            let (here, there) = try Connection.pipe()
            let process = ChildProcess {
                _ = try there.receive(Int.self)
                try checkEqual(try managerLost { try number.withValue { $0 } }.code, .disconnected)
                try there.send(1)
                _ = try there.receive(Int.self)
                try checkEqual(try number.withValue { $0 }, 7)
            }
            try number.withValue { _ in leaveDescriptors(0) }
            try process.start()
            // If the child ends early, this end learns of it.
            there.close()
            try here.send(0)
            try checkEqual(try here.receive(Int.self), 1)
            try number.withValue { _ in lift(files) }
            try here.send(2)
            try finish(process)
            try manager.shutdown()
        }
    }
}
