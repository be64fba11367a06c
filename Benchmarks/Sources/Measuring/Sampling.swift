// SPDX-License-Identifier: Apache-2.0

/// How long a program may measure, and the loop that measures one operation after another.
public struct Sampling: Sendable {
    /// The time for one metric in one round, in nanoseconds.
    public let budget: Int64

    /// Fewer samples than this are no measurement, unless they take very long.
    private static let minimumCount = 5
    /// Nor are fewer than this, however long they take.
    private static let leastCount = 2
    /// How many times the budget is very long.
    private static let longFactor: Int64 = 4
    /// More samples than this tell nothing new.
    private static let maximumCount = 50_000
    /// How many operations are done before the first that counts.
    private static let warmUpCount = 3

    /// Creates a loop for that many nanoseconds.
    public init(budget: Int64) {
        self.budget = budget
    }

    /// Does an operation again and again, and returns how long each took, in nanoseconds.
    ///
    /// - Parameters:
    ///   - batch: How many operations are timed together, where one is too short for the clock.
    ///   - pause: The nanoseconds to sleep before each sample.
    public func times(batch: Int = 1, pause: Int64 = 0, _ operation: () throws -> Void) rethrows -> [Double] {
        try warmUp(operation)
        var samples: [Double] = []
        let first = Clock.now
        while wantsMore(than: samples.count, after: Clock.now - first) {
            if pause > 0 { Clock.sleep(pause) }
            let start = Clock.now
            for _ in 0..<batch { try operation() }
            samples.append(Double(Clock.now - start) / Double(batch))
        }
        return samples
    }

    /// Does the operation without timing it: once, and a few times where that is quick.
    private func warmUp(_ operation: () throws -> Void) rethrows {
        let start = Clock.now
        for _ in 0..<Self.warmUpCount {
            try operation()
            if Clock.now - start > budget { return }
        }
    }

    /// Whether to go on after so many samples in so many nanoseconds.
    public func wantsMore(than count: Int, after time: Int64) -> Bool {
        if count < Self.leastCount { return true }
        if count < Self.minimumCount { return time < budget * Self.longFactor }
        return time < budget && count < Self.maximumCount
    }
}

/// Makes the optimiser believe that `value` is used.
@inline(never)
public func keep<T: ~Copyable>(_ value: borrowing T) {}
