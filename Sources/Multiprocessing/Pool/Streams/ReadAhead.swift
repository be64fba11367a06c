// SPDX-License-Identifier: Apache-2.0

/// How far a lazy map reads ahead of its consumer. Pure.
///
/// It begins with a few items for each worker, and doubles as long as the workers run out of them, up to a limit: an infinite input of slow items is not read far ahead, a fast one far enough to keep everybody busy.
struct ReadAhead {
    /// The bytes of arguments and results beyond which nothing is read ahead that workers do not need at once.
    private static var mostBytes: Double { 67_108_864 }

    /// The most items that may be read and not be given to the consumer as results.
    private let most: Int
    /// Enough to keep every worker at work.
    private let least: Int
    /// How many that are now.
    private(set) var window: Int
    /// How many there are.
    private(set) var ahead = 0
    /// The bytes of an item and its result, as far as is known.
    private var argumentBytes = Average()
    private var resultBytes = Average()

    /// A mean of everything so far.
    private struct Average {
        private var count = 0.0
        private var sum = 0.0

        var value: Double { count > 0 ? sum / count : 0 }

        mutating func add(_ count: Int, sum: Int) {
            self.count += Double(count)
            self.sum += Double(sum)
        }
    }

    /// Creates what a map begins with.
    ///
    /// - Parameters:
    ///   - bufferSize: The limit that the user named.
    ///   - parallelism: How many workers there are.
    ///   - chunk: How many items a worker gets at a time.
    init(bufferSize: Int?, parallelism: Int, chunk: Int) {
        let least = 2 * max(1, parallelism) * max(1, chunk)
        most = bufferSize ?? max(4096, 4 * least)
        self.least = min(most, least)
        window = bufferSize ?? min(most, 2 * least)
    }

    /// How many items may be ahead: as many as the window holds, and large ones fewer.
    private var limit: Int {
        let bytes = argumentBytes.value + resultBytes.value
        guard bytes > 0 else { return window }
        return min(window, max(least, Int(min(Self.mostBytes / bytes, 1e9))))
    }

    /// How many more items may be read now.
    var room: Int { max(0, limit - ahead) }

    /// Whether so many may be read that it is worth the while. With none ahead that is always so: nothing else would come that makes it so.
    var isWorthFilling: Bool { room >= max(1, limit / 4) }

    /// Notes what was read.
    mutating func read(_ count: Int, bytes: Int) {
        ahead += count
        argumentBytes.add(count, sum: bytes)
    }

    /// Notes the size of results.
    mutating func answered(_ count: Int, bytes: Int) {
        resultBytes.add(count, sum: bytes)
    }

    /// Notes results that the consumer has got.
    mutating func consume(_ count: Int) {
        ahead -= count
    }

    /// Notes that the workers ran out of items though there were more to be read.
    mutating func starve() {
        window = min(most, window * 2)
    }
}
