// SPDX-License-Identifier: Apache-2.0

import MultiprocessingChannels
import Testing

/// A ring as a list of records, with the bookkeeping that the real one keeps in shared memory.
private struct ModelRing: Hashable {
    let rules: RingStateMachine
    /// Live records, skips included, oldest first.
    var live: [Range<Int>] = []
    var skips: Set<Int> = []
    var head: Int
    var tail: Int
    var headLap = 0
    var tailLap = 0
    /// Start and end of the last laps, newest last.
    var laps: [Int: Range<Int>]

    init(_ rules: RingStateMachine) {
        self.rules = rules
        head = rules.first
        tail = rules.first
        laps = [0: rules.first..<rules.first]
    }

    var occupancy: RingStateMachine.Occupancy {
        let previous = laps[tailLap - 1] ?? 0..<0
        return RingStateMachine.Occupancy(
            head: head,
            tail: tail,
            lapsBehind: tailLap - headLap,
            start: laps[tailLap]?.lowerBound ?? rules.first,
            previous: previous,
            endBeforePrevious: laps[tailLap - 2]?.upperBound ?? 0
        )
    }

    /// All that decides about the future.
    var key: [Int] {
        let now = occupancy
        return [now.head, now.tail, now.lapsBehind, now.start, now.previous.lowerBound, now.previous.upperBound]
            + live.flatMap { [$0.lowerBound, $0.upperBound] }
    }

    /// Puts a record where the rules say and checks that it disturbs nobody; false when there is no room.
    mutating func put(_ size: Int) -> Bool {
        switch rules.place(size, occupancy) {
        case .nowhere:
            return false
        case .here:
            add(tail..<tail + size)
        case .elsewhere(let target):
            skips.insert(tail)
            add(tail..<tail + 1)
            laps[tailLap] = (laps[tailLap]?.lowerBound ?? rules.first)..<tail
            tailLap += 1
            laps[tailLap] = target..<target
            tail = target
            add(target..<target + size)
        }
        return true
    }

    private mutating func add(_ record: Range<Int>) {
        // Not `#expect`, which takes longer than everything else here together.
        let isRight =
            record.lowerBound >= rules.first && record.upperBound <= rules.end && !live.contains { $0.overlaps(record) }
        if !isRight { Issue.record("\(record) is outside or overwrites one of \(live)") }
        live.append(record)
        tail = record.upperBound
    }

    /// Takes the oldest record, following a skip before it.
    mutating func take() -> Range<Int>? {
        guard var record = live.first else { return nil }
        live.removeFirst()
        if skips.contains(record.lowerBound), record.count == 1, let next = live.first,
            next.lowerBound != record.upperBound
        {
            skips.remove(record.lowerBound)
            headLap += 1
            record = next
            live.removeFirst()
        }
        head = record.upperBound
        return record
    }
}

/// `#expect` for calls that change what they are called on.
private func expectDone(_ done: Bool, line: Int = #line) {
    if !done { Issue.record("line \(line)") }
}

@Suite(.timeLimit(.minutes(30)))
struct RingStateMachineTests {
    @Test func `no record ever overwrites a live one, in any history of a small ring`() {
        // Every sequence of puts of sizes 1 to 3 and takes, of whatever length: until it leads to no new state.
        let rules = RingStateMachine(first: 1, soft: 5, end: 11)
        var seen: Set<[Int]> = []
        var open = [ModelRing(rules)]
        var mostLapsBehind = 0
        while let ring = open.popLast() {
            guard seen.insert(ring.key).inserted else { continue }
            mostLapsBehind = max(mostLapsBehind, ring.occupancy.lapsBehind)
            for size in 1...3 {
                var next = ring
                if next.put(size) { open.append(next) }
            }
            var next = ring
            if next.take() != nil { open.append(next) }
        }
        // As many as an independent count of the same rules gives: nothing was left out.
        #expect(seen.count == 14_941)
        #expect(mostLapsBehind == 2)
    }

    @Test func `an empty ring takes the largest record wherever it stands`() {
        let rules = RingStateMachine(first: 2, soft: 6, end: 30)
        for offset in rules.first..<rules.end - 1 {
            var ring = ModelRing(rules)
            ring.head = offset
            ring.tail = offset
            expectDone(ring.put(rules.largestRecord))
        }
    }

    @Test func `records that are taken at once stay in the warm part`() {
        var ring = ModelRing(RingStateMachine(first: 2, soft: 66, end: 10_000))
        for step in 0..<10_000 {
            expectDone(ring.put(1 + step % 7))
            expectDone(ring.take() != nil)
            #expect(ring.tail <= 66)
        }
    }

    @Test func `a backlog grows into new memory and the stream comes back when it is gone`() {
        var ring = ModelRing(RingStateMachine(first: 2, soft: 66, end: 100_000))
        for _ in 0..<1000 { expectDone(ring.put(20)) }
        #expect(ring.tail > 20_000)
        for _ in 0..<1000 { expectDone(ring.take() != nil) }
        expectDone(ring.put(20))
        #expect(ring.tail == 22)
    }

    @Test func `positions tell offset, lap and sequence apart, and count across their wrap`() {
        let early = RingPosition(offset: 7, lap: 15, sequence: RingPosition.largestCount)
        #expect((early.offset, early.lap, early.sequence) == (7, 15, RingPosition.largestCount))
        let late = RingPosition(offset: RingPosition.largestOffset, lap: 16, sequence: RingPosition.largestCount + 5)
        #expect((late.offset, late.lap, late.sequence) == (RingPosition.largestOffset, 0, 4))
        #expect(late.count(since: early) == 5 && late.laps(since: early) == 1)
    }
}
