// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing

/// Whether what is there at the end can have come about by right.
struct Verdict {
    private let stage: Stage
    private let cast: Cast

    init(_ stage: Stage, _ cast: Cast) {
        self.stage = stage
        self.cast = cast
    }

    /// Throws what must not be. Returns how many messages were put.
    func judge() throws -> Int {
        try judgeLedger()
        try judgePermits()
        return try judgeQueue()
    }

    /// Both numbers are raised together, but by those that died in between.
    private func judgeLedger() throws {
        var isWhole = true
        do { try stage.lock.withLock {} } catch is OwnerDied { isWhole = false }
        let (first, second) = (stage.ledger[0], stage.ledger[1])
        let deaths = cast.losses(of: "clerk")
        try check(
            first >= second && first - second <= deaths,
            "the ledger says \(first) and \(second) after \(deaths) deaths"
        )
        let entries = stage.entries.load()
        try check(
            second >= entries && first <= entries + deaths,
            "\(entries) entries make \(first) after \(deaths) deaths"
        )
        // Whoever died last may have died while it wrote.
        if isWhole {
            let expected: [ShareableList.Element] = [.integer(Int64(second)), .string("entry \(second)")]
            try check(Array(stage.list) == expected, "the list says \(stage.list), and the ledger \(second)")
        }
    }

    /// A dead process takes a permit with it, and nobody gives one too many back.
    private func judgePermits() throws {
        let (value, deaths) = (stage.bounded.value, cast.losses(of: "waiter"))
        try check(
            value <= Stage.permits && value >= Stage.permits - deaths,
            "\(value) permits are left after \(deaths) deaths"
        )
    }

    /// Each message whose `put` returned was taken once, but for those that the dead had taken.
    private func judgeQueue() throws -> Int {
        while let message = try stage.queue.tryGet() { try take(message, stage) }
        try check(stage.queue.count == 0, "an empty queue says that it has \(stage.queue.count) messages")
        var (messages, lost, surprising) = (0, 0, 0)
        for index in 0..<Stage.producers * Stage.most {
            switch (stage.returned[index], stage.taken[index]) {
            case (1, 0): lost += 1
            case (0, 1): surprising += 1
            default: break
            }
            messages += Int(stage.returned[index])
        }
        let (consumers, producers) = (cast.losses(of: "consumer"), cast.losses(of: "producer"))
        try check(lost <= consumers, "\(lost) of \(messages) messages are lost, and \(consumers) consumers died")
        try check(
            surprising <= producers,
            "\(surprising) messages came without being put, and \(producers) producers died"
        )
        return messages
    }
}
