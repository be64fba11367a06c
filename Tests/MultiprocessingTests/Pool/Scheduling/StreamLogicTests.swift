// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Multiprocessing

@Suite(.leavesNothing) struct StreamLogicTests {
    @Test(arguments: 1...50) func `values leave a window in the order of their numbers, whenever they come`(
        seed: UInt64
    ) {
        var random = Seeded(seed: seed)
        var window = PieceWindow<Int>()
        var pending = Set<Int>()
        var (next, left) = (0, 0)
        for _ in 0..<2000 {
            switch Int.random(in: 0..<3, using: &random) {
            case 0:
                pending.insert(next)
                next += 1
            case 1:
                guard let number = pending.sorted().randomElement(using: &random) else { continue }
                pending.remove(number)
                window.insert(number, at: number)
                // What has come twice is there once.
                if Bool.random(using: &random) { window.insert(number, at: number) }
            default:
                let isThere = left < next && !pending.contains(left)
                #expect(window.hasFirst == isThere)
                #expect(window.popFirst() == (isThere ? left : nil))
                if isThere { left += 1 }
                #expect(window.base == left)
            }
        }
    }

    @Test(arguments: 1...50) func `pieces are matched to items though some items are no pieces`(seed: UInt64) {
        var random = Seeded(seed: seed)
        var numbers = PieceNumbers()
        var items: [Int] = []
        var forgotten = 0
        for item in 0..<500 {
            if Int.random(in: 0..<4, using: &random) == 0 {
                numbers.skip(item: item)
            } else {
                items.append(item)
            }
            if !items.isEmpty, Int.random(in: 0..<10, using: &random) == 0 {
                forgotten = Int.random(in: forgotten..<items.count, using: &random)
                numbers.forget(before: forgotten)
            }
            for piece in forgotten..<items.count { #expect(numbers.item(of: piece) == items[piece]) }
        }
    }

    @Test func `no more is read ahead than the user allows, and a fast consumer gets more by and by`() {
        var ahead = ReadAhead(bufferSize: 10, parallelism: 4, chunk: 1)
        #expect(ahead.room == 10)
        ahead.read(10, bytes: 80)
        for _ in 0..<10 { ahead.starve() }
        #expect(ahead.room == 0 && !ahead.isWorthFilling)
        ahead.consume(3)
        #expect(ahead.room == 3)

        var free = ReadAhead(bufferSize: nil, parallelism: 2, chunk: 1)
        #expect(free.room == 8)
        for _ in 0..<20 { free.starve() }
        #expect(free.room == 4096)
    }

    @Test func `large items and results are read ahead only as far as workers need them`() {
        var ahead = ReadAhead(bufferSize: nil, parallelism: 2, chunk: 1)
        for _ in 0..<20 { ahead.starve() }
        ahead.read(4, bytes: 4 << 20)
        #expect(ahead.room == 60)
        ahead.answered(4, bytes: 400 << 20)
        #expect(ahead.room == 0)
        ahead.consume(4)
        #expect(ahead.room == 4)
    }

    @Test func `with none ahead there is always something to be read, however large it is`() {
        for bytes in [1 << 10, 100 << 10, 300 << 10, 4 << 20, 100 << 20] {
            for bufferSize in [nil, 1, 1000, 100_000] {
                var ahead = ReadAhead(bufferSize: bufferSize, parallelism: 2, chunk: 1)
                for _ in 0..<20 {
                    ahead.starve()
                    #expect(ahead.isWorthFilling && ahead.room > 0)
                    let count = min(4, ahead.room)
                    ahead.read(count, bytes: count * bytes)
                    ahead.consume(count)
                }
            }
        }
    }

    @Test func `a job is busy until the end of its last attempt was heard of`() {
        var machine = PoolStateMachine()
        var rules = PoolStateMachine.Rules()
        rules.isElementwise = true
        let job = machine.add(rules)
        #expect(!machine.isBusy)
        _ = machine.addPieces(1, to: job, isLast: true)
        #expect(machine.isBusy)
        guard let assignment = machine.next(parallelism: 1) else {
            Issue.record("nothing is handed out")
            return
        }
        _ = machine.answered(assignment.attempt, threw: false)
        #expect(machine.waiting == 0 && machine.running == 0 && machine.isBusy)
        _ = machine.finished(assignment.attempt, threw: false, nanoseconds: 1)
        #expect(!machine.isBusy)
    }
}
