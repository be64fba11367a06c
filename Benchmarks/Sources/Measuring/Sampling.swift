// SPDX-License-Identifier: Apache-2.0

/// How long a program may measure, and the loop that measures one operation after another.
public struct Sampling: Sendable {
    /// The time for one metric in one round, in nanoseconds.
    public let budget: Int64

    /// Fewer samples than this are no measurement, however long they take.
    private static let minimumCount = 5
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
        for _ in 0..<Self.warmUpCount { try operation() }
        var samples: [Double] = []
        let end = Clock.now + budget
        while samples.count < Self.minimumCount || (Clock.now < end && samples.count < Self.maximumCount) {
            if pause > 0 { Clock.sleep(pause) }
            let start = Clock.now
            for _ in 0..<batch { try operation() }
            samples.append(Double(Clock.now - start) / Double(batch))
        }
        return samples
    }
}

/// Makes the optimiser believe that `value` is used.
@inline(never)
public func keep<T: ~Copyable>(_ value: borrowing T) {}
