// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Testing

/// One who waits, and counts how often anybody asks who it is.
private struct Counted: TicketHolder {
    /// How often it was asked.
    final class Asked {
        var count = 0
    }

    let call: UInt64
    let asked: Asked

    var ticket: Ticket {
        asked.count += 1
        return Ticket(client: 1, call: call)
    }
}

@Suite(.leavesNothing)
struct WaitingLineTests {
    @Test(arguments: 1...40 as ClosedRange<UInt64>)
    func `a line keeps its order whoever leaves from where`(seed: UInt64) throws {
        var generator = Seeded(seed: seed)
        var line = WaitingLine<Ticket>()
        var model: [Ticket] = []
        // By turns it grows and shrinks.
        for number in 1...6000 as ClosedRange<UInt64> {
            let grows = number / 1500 % 2 == 0
            switch Int.random(in: 0..<100, using: &generator) {
            case 0..<(grows ? 80 : 30):
                let ticket = Ticket(client: .random(in: 1...40, using: &generator), call: number)
                line.append(ticket)
                model.append(ticket)
            case ..<90:
                guard let index = model.indices.randomElement(using: &generator) else { continue }
                let ticket = model.remove(at: index)
                try checkEqual(line[ticket], ticket)
                try checkEqual(line.remove(ticket), ticket)
                try checkEqual(line.remove(ticket), nil)
                try checkEqual(line[ticket], nil)
            case ..<98: try checkEqual(line.popFirst(), model.isEmpty ? nil : model.removeFirst())
            case 98:
                let client = UInt64.random(in: 1...40, using: &generator)
                line.removeAll { $0.client == client }
                model.removeAll { $0.client == client }
            default:
                guard number.isMultiple(of: 7) else { continue }
                try checkEqual(line.takeAll(), model)
                model = []
            }
            try checkEqual(line.count, model.count)
            try checkEqual(line.isEmpty, model.isEmpty)
            if number.isMultiple(of: 16) { try checkEqual(line.all, model) }
        }
        while let ticket = line.popFirst() { try checkEqual(ticket, model.removeFirst()) }
        try checkEqual(model, [])
    }

    @Test(arguments: [false, true])
    func `thousands leave in a number of steps that grows as they do`(fromTheEnd: Bool) throws {
        let count = 20_000
        var generator = Seeded(seed: 3)
        let asked = Counted.Asked()
        var line = WaitingLine<Counted>()
        var order = Array(1...UInt64(count))
        for call in order { line.append(Counted(call: call, asked: asked)) }
        if fromTheEnd { order.reverse() } else { order.shuffle(using: &generator) }
        // One in ten is served meanwhile.
        for (index, call) in order.enumerated() {
            if index.isMultiple(of: 10) { _ = line.popFirst() }
            _ = line.remove(Ticket(client: 1, call: call))
        }
        try check(line.isEmpty)
        // Whoever looked for them one after the other would ask some hundred million times.
        try check(asked.count < count * 4, "\(asked.count)")
    }

    @Test func `a room answers thousands of withdrawals, each once`() throws {
        let count: UInt64 = 20_000
        var queue = QueueRoom<Int>()
        var lock = LockRoom(isRecursive: false)
        let holder = LockRoom.Holder(client: 9, token: 1, process: 1)
        lock.acquire(Ticket(client: 9, call: 0), holder)
        for call in 1...count {
            queue.get(Ticket(client: 1, call: call))
            lock.acquire(Ticket(client: 1, call: call), LockRoom.Holder(client: 1, token: call, process: 2))
        }
        for call in (1...count).reversed() where call != 7 {
            queue.withdraw(Ticket(client: 1, call: call), because: .timedOut)
            lock.withdraw(Ticket(client: 1, call: call), because: .cancelled)
        }
        try checkEqual(queue.takeAnswers().count, Int(count) - 1)
        // That of the owner as well.
        try checkEqual(lock.takeAnswers().count, Int(count))
        queue.put(5, Ticket(client: 2, call: 1))
        try checkEqual(told(queue.takeAnswers()), ["2.1 done", "1.7 5"])
        lock.release(Ticket(client: 9, call: 1), holder)
        try checkEqual(told(lock.takeAnswers()), ["9.1 done", "1.7 done"])
    }
}
