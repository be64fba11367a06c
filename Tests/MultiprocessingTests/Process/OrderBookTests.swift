// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Multiprocessing

/// Who may write to the bytes that a program shares with its fork server, and when they are another's.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct OrderBookTests {
    @Test func `the slot of a start that was cancelled is no other's before both have let go of it`() throws {
        var book = OrderBook<String>(capacity: 4)
        let first = try #require(takeSlot(from: &book))
        // The server has seen that it is not wanted, and says that it has ended, before the one who has ordered is done.
        #expect(book.ended(first, .exited(0)) == nil)
        let second = try #require(takeSlot(from: &book))
        #expect(second != first)
        #expect(book.letGo(first) == false)
        #expect(book.take() == first)
        // And the other way round.
        #expect(book.letGo(second) == true)
        #expect(book.take() == 2)
        #expect(book.ended(second, .exited(1)) == nil)
        #expect(book.take() == second)
    }

    @Test func `a process that ends at once keeps its slot as long as something may be decided about it`() throws {
        var book = OrderBook<String>(capacity: 4)
        let slot = try #require(takeSlot(from: &book))
        #expect(book.register("child", slot) == nil)
        #expect(book.ended(slot, .signaled(.kill)) == "child")
        #expect(book.take() == 1)
        // There is nobody left who could be unwanted.
        #expect(book.letGo(slot) == false)
        #expect(book.take() == slot)
        // Told before it is known who it was.
        #expect(book.ended(1, .exited(3)) == nil)
        #expect(book.register("late", 1) == .exited(3))
        // Who has his process does not want to be rid of it.
        #expect(book.register("other", slot) == nil)
        #expect(book.letGo(slot) == false)
        #expect(book.ended(slot, .exited(0)) == "other")
    }

    @Test func `there are no more orders than slots, and none that was not sent`() throws {
        var book = OrderBook<String>(capacity: 2)
        #expect(book.take() == 0)
        #expect(book.take() == 1)
        #expect(book.take() == nil)
        book.takeBack(1)
        #expect(book.take() == 1)
        #expect(book.register("child", 0) == nil)
        #expect(book.removeAll() == ["child"])
        // Whoever comes later does no harm.
        #expect(book.letGo(0) == false)
        #expect(book.ended(1, .exited(0)) == nil)
        book.takeBack(1)
    }

    @Test(arguments: 1...20) func `a slot is in one order's hands, whatever happens in whatever order`(
        seed: UInt64
    ) throws {
        /// An order as both sides know it.
        struct Order {
            let number: Int
            var isHeld = true
            var hasEnded = false
            var isRegistered = false
        }
        var random = Seeded(seed: seed)
        var book = OrderBook<Int>(capacity: 12)
        var model: [Int: Order] = [:]
        for step in 0..<20_000 {
            let isNew = Int.random(in: 0..<5, using: &random) == 0
            guard !isNew, let slot = model.keys.sorted().randomElement(using: &random), var order = model[slot] else {
                let taken = book.take()
                try checkEqual(taken == nil, model.count == 12, line: step)
                if let taken {
                    try check(model[taken] == nil, "\(taken) is another's")
                    model[taken] = Order(number: step)
                }
                continue
            }
            switch Int.random(in: 0..<3, using: &random) {
            case 0 where order.isHeld && !order.isRegistered:
                try checkEqual(book.register(order.number, slot), order.hasEnded ? .exited(Int32(slot)) : nil)
                order.isRegistered = true
            case 1 where order.isHeld:
                try checkEqual(book.letGo(slot), !order.hasEnded && !order.isRegistered)
                order.isHeld = false
            case 2 where !order.hasEnded:
                let child = book.ended(slot, .exited(Int32(slot)))
                try checkEqual(child, order.isRegistered ? order.number : nil)
                order.hasEnded = true
            default: break
            }
            model[slot] = order.isHeld || !order.hasEnded ? order : nil
        }
        let running = model.values.filter { $0.isRegistered && !$0.hasEnded }.map(\.number)
        try checkEqual(book.removeAll().sorted(), running.sorted())
    }

    private func takeSlot(from book: inout OrderBook<String>) -> Int? { book.take() }
}
