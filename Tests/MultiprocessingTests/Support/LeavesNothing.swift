// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// Checks that a test leaves nothing behind in the test process: no child, descriptor, mapping of shared memory or name. What it leaves in children of its own `isolated` checks.
///
/// Tests run side by side in one process, so what one of them left can be told only where they run one after the other: it is checked where the environment says so.
///
///     MULTIPROCESSING_LEAKS=1 swift test --no-parallel --filter LockTests
struct LeavesNothing: SuiteTrait, TestTrait, TestScoping {
    /// For each test of a suite, and not for the suite as a whole.
    var isRecursive: Bool { true }

    private static let isAsked = getenv("MULTIPROCESSING_LEAKS") != nil

    @concurrent func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @Sendable @concurrent () async throws -> Void
    ) async throws {
        guard Self.isAsked else { return try await function() }
        try await Watch.shared.begin()
        let isToKeep = test.tags.contains(.keepsMemory)
        do {
            try await function()
        } catch {
            try await Watch.shared.end(isToKeep)
            throw error
        }
        try await Watch.shared.end(isToKeep)
    }
}

extension Trait where Self == LeavesNothing {
    /// The test process has no more after the tests than before.
    static var leavesNothing: LeavesNothing { LeavesNothing() }
}

extension Tag {
    /// Of tests that leave memory on purpose: a lock that is held is never freed.
    @Tag static var keepsMemory: Self
}

/// Who looks, when nobody is at work.
private actor Watch {
    static let shared = Watch()

    /// How long what ends by other threads and processes may take.
    private static let patience = Duration.seconds(30)

    private var underWay = 0
    /// What there was before the first test, with all that is made once and kept.
    private var before: Task<Stock, any Error>?

    /// Has a test begin; the first one when it has been looked what there is.
    func begin() async throws {
        underWay += 1
        let task = before ?? Task { try await Stock.warm() }
        before = task
        _ = try await task.value
    }

    /// Has a test end.
    ///
    /// - Parameter isToKeep: Whether it leaves something on purpose.
    func end(_ isToKeep: Bool) async throws {
        underWay -= 1
        if isToKeep { before = Task { Stock.current } }
        guard underWay == 0, let before = try await before?.value else { return }
        let deadline = ContinuousClock.now + Self.patience
        while true {
            let now = Stock.current
            if now.isNotMore(than: before) { return }
            // Somebody else is at work, which is looked at when that ends.
            if underWay > 0 { return }
            guard ContinuousClock.now < deadline else {
                Issue.record("left behind in the test process: \(now.without(before))")
                // Told once, of the test that did it.
                self.before = Task { now }
                return
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }
}

/// What the test process has that can be left behind.
private struct Stock: Sendable {
    /// What descriptors stand for, without their numbers.
    var descriptors: [String]
    var children: [String]
    var mappings: [String]
    var names: [String]

    /// What it has now.
    static var current: Stock {
        let server = ForkServer.processIdentifier
        return Stock(
            // Sockets and pidfds lead to processes and are counted with them: a spare may come or go at any time.
            descriptors: Proc.descriptors().compactMap { $0.split(separator: " ").last.map(String.init) }
                .filter { $0.hasPrefix("/") && !$0.hasPrefix("/dev/") && !$0.hasPrefix("/proc/") },
            children: Proc.children(of: getpid()).filter { $0 != server }.map { "process \($0)" },
            mappings: Proc.lines("/proc/self/maps").filter { $0.contains("/memfd:") || $0.contains("/dev/shm/") }
                .compactMap { line in line.firstIndex(of: "/").map { String(line[$0...]) } },
            names: Proc.entries("/dev/shm")
        )
    }

    /// What it has when each kind of process has been started once.
    static func warm() async throws -> Stock {
        for method in [StartMethod.forkServer, .spawn] {
            let first = ChildProcess(startMethod: method) {}
            try first.start()
            try await first.join()
            try first.close()
        }
        return current
    }

    func isNotMore(than other: Stock) -> Bool {
        children.count <= other.children.count && mappings.count <= other.mappings.count
            && descriptors.count <= other.descriptors.count && own(names).count <= own(other.names).count
    }

    /// Names that this process made: tests that run elsewhere at the time have others.
    private func own(_ names: [String]) -> [String] { names.filter { $0.contains("\(getpid())") } }

    func without(_ other: Stock) -> String {
        "\(children), \(mappings.count - other.mappings.count) mappings of \(Set(mappings)), "
            + "\(descriptors.count - other.descriptors.count) of \(descriptors), \(own(names))"
    }
}
