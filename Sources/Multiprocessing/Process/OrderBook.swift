// SPDX-License-Identifier: Apache-2.0

/// The orders of one fork server, by their slots.
///
/// A slot is in two hands: whoever has ordered decides in its byte of the `OrderPage` what becomes of the child, and the server tells once how the child has ended. Only when both have let go of it may it stand for another
/// order; otherwise what is decided about a child that is gone would be decided about a stranger's.
struct OrderBook<Child> {
    /// An order whose slot is not free.
    private struct Order {
        /// Whether the one who has ordered may still write to the slot's byte.
        var isHeld = true
        /// The process that came of it, while it runs.
        var child: Child?
        /// How it ended, once the server has told.
        var end: ExitStatus?
    }

    /// So many there can be at once.
    private let capacity: Int
    private var orders: [Order?] = []
    private var free: [Int] = []

    /// Makes a book without orders.
    init(capacity: Int) {
        self.capacity = capacity
    }

    /// Finds a slot for an order; nil when there are too many.
    mutating func take() -> Int? {
        if let slot = free.popLast() {
            orders[slot] = Order()
            return slot
        }
        guard orders.count < capacity else { return nil }
        orders.append(Order())
        return orders.count - 1
    }

    /// Takes an order back that the server was not sent: it will tell no end of it.
    mutating func takeBack(_ slot: Int) {
        guard known(slot) != nil else { return }
        release(slot)
    }

    /// Notes that the one who has ordered does not write to the slot's byte any more. Returns whether he has to as the last thing: no process is known, and one that still comes is not wanted.
    mutating func letGo(_ slot: Int) -> Bool {
        guard let order = known(slot), order.isHeld else { return false }
        if order.end != nil {
            release(slot)
            return false
        }
        orders[slot]?.isHeld = false
        return order.child == nil
    }

    /// Notes the process that came of an order. Returns how it has ended, if the server has told already.
    mutating func register(_ child: Child, _ slot: Int) -> ExitStatus? {
        guard let order = known(slot) else { return nil }
        if order.end == nil { orders[slot]?.child = child }
        return order.end
    }

    /// Notes what the server tells of an end. Returns the process, if it is known.
    mutating func ended(_ slot: Int, _ status: ExitStatus) -> Child? {
        guard let order = known(slot), order.end == nil else { return nil }
        if order.isHeld {
            orders[slot]?.end = status
            orders[slot]?.child = nil
        } else {
            release(slot)
        }
        return order.child
    }

    /// Forgets all orders: the server has ended, and nothing is told any more. Returns the processes that run.
    mutating func removeAll() -> [Child] {
        let running = orders.compactMap { $0?.child }
        orders = []
        free = []
        return running
    }

    /// The order of a slot; nil for one that is free, or was never used.
    private func known(_ slot: Int) -> Order? {
        orders.indices.contains(slot) ? orders[slot] : nil
    }

    private mutating func release(_ slot: Int) {
        orders[slot] = nil
        free.append(slot)
    }
}
