// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Testing

/// Rooms under random calls, withdrawals and deaths, against what must hold whatever comes in which order.
@Suite(.leavesNothing)
struct RoomModelTests {
    /// A call that was made, for the books.
    private struct Made {
        enum Kind { case acquire, recover, release, wait, notify }
        let kind: Kind
        let holder: LockRoom.Holder
        let count: Int
    }

    /// What the answers of a lock say of it.
    private struct LockBook {
        var open: [Ticket: Made] = [:]
        var owner: LockRoom.Holder?
        var count = 0
        var deaths = 0
        var told = 0

        /// Takes in an answer.
        mutating func note(_ ticket: Ticket, _ answer: RoomAnswer<Never>) throws {
            guard let made = open.removeValue(forKey: ticket) else { throw CheckFailed(description: "\(ticket) twice") }
            switch (made.kind, answer) {
            case (.acquire, .done), (.recover, .done):
                try check(owner == nil || owner == made.holder, "two owners")
                if made.kind == .recover { deaths = told }
                try checkEqual(deaths, told)
                (owner, count) = (made.holder, count + 1)
            case (.acquire, .ownerDied): told += 1
            case (.release, .done):
                try checkEqual(owner, made.holder)
                count -= 1
                if count == 0 { owner = nil }
            case (.wait, .done), (.wait, .timedOut), (.wait, .cancelled), (.wait, .ownerDied):
                try checkEqual(owner, nil)
                (owner, count) = (made.holder, made.count)
                if case .ownerDied = answer { told += 1 }
            case (.notify, .done): try checkEqual(owner, made.holder)
            case (.release, .refused(.notOwner)), (.wait, .refused(.notOwner)), (.notify, .refused(.notOwner)):
                try check(owner != made.holder)
            case (.acquire, .timedOut), (.acquire, .cancelled), (.recover, .timedOut), (.recover, .cancelled): break
            default: throw CheckFailed(description: "\(made.kind) was answered \(answer)")
            }
            try check(told <= deaths, "a death was told twice")
        }
    }

    @Test(arguments: 1...40 as ClosedRange<UInt64>)
    func `a lock has one owner at a time, and each death is told once`(seed: UInt64) throws {
        var generator = Seeded(seed: seed)
        var lock = LockRoom(isRecursive: true)
        var book = LockBook()
        var alive: [UInt64] = [1, 2, 3]
        for number in 1...2000 as ClosedRange<UInt64> {
            guard let client = alive.randomElement(using: &generator) else { return }
            let ticket = Ticket(client: client, call: number)
            let holder = LockRoom.Holder(client: client, token: .random(in: 1...2, using: &generator), process: 1)
            switch Int.random(in: 0..<20, using: &generator) {
            case 0..<6:
                // A thread makes one call at a time.
                guard !book.open.values.contains(where: { $0.holder == holder }) else { continue }
                book.open[ticket] = Made(kind: .acquire, holder: holder, count: 1)
                lock.acquire(ticket, holder)
            case 6:
                guard !book.open.values.contains(where: { $0.holder == holder }) else { continue }
                book.open[ticket] = Made(kind: .recover, holder: holder, count: 1)
                lock.acquire(ticket, holder, recovers: true)
            case 7..<12:
                let owner = Bool.random(using: &generator) ? book.owner ?? holder : holder
                let made = Ticket(client: owner.client, call: number)
                book.open[made] = Made(kind: .release, holder: owner, count: 0)
                lock.release(made, owner)
            case 12..<14:
                guard let owner = book.owner else { continue }
                let made = Ticket(client: owner.client, call: number)
                book.open[made] = Made(kind: .wait, holder: owner, count: book.count)
                (book.owner, book.count) = (nil, 0)
                lock.wait(made, owner)
            case 14..<16:
                guard let owner = book.owner else { continue }
                let made = Ticket(client: owner.client, call: number)
                book.open[made] = Made(kind: .notify, holder: owner, count: 0)
                lock.notify(Bool.random(using: &generator) ? nil : 1, made, owner)
            case 16..<19:
                guard let waiting = book.open.keys.sorted(by: { $0.call < $1.call }).randomElement(using: &generator)
                else { continue }
                lock.withdraw(waiting, because: Bool.random(using: &generator) ? .timedOut : .cancelled)
            default:
                if book.owner?.client == client {
                    book.deaths += 1
                    (book.owner, book.count) = (nil, 0)
                }
                book.open = book.open.filter { $0.key.client != client }
                lock.leave(client: client)
                alive.removeAll { $0 == client }
                alive.append(client + 3)
            }
            for (ticket, answer) in lock.takeAnswers() { try book.note(ticket, answer) }
            // Nobody waits for a free lock.
            let waits = book.open.values.contains { $0.kind == .acquire || $0.kind == .recover }
            try check(book.owner != nil || !waits, "step \(number)")
        }
        try check(book.told > 0, "nobody died with the lock")
    }

    @Test(arguments: 1...40 as ClosedRange<UInt64>)
    func `a queue loses, doubles and reorders nothing`(seed: UInt64) throws {
        var generator = Seeded(seed: seed)
        let capacity = Int.random(in: 1...4, using: &generator)
        var queue = QueueRoom<Int>(capacity: capacity)
        var puts: [Ticket: Int] = [:]
        var gets: Set<Ticket> = []
        var inside: [Int] = []
        var alive: [UInt64] = [1, 2, 3]
        for number in 1...2000 as ClosedRange<UInt64> {
            guard let client = alive.randomElement(using: &generator) else { return }
            let ticket = Ticket(client: client, call: number)
            switch Int.random(in: 0..<20, using: &generator) {
            case 0..<8:
                puts[ticket] = Int(number)
                queue.put(Int(number), ticket)
            case 8..<16:
                gets.insert(ticket)
                queue.get(ticket)
            case 16..<19:
                let waiting = (Array(puts.keys) + gets).sorted { $0.call < $1.call }
                if let one = waiting.randomElement(using: &generator) { queue.withdraw(one, because: .cancelled) }
            default:
                queue.leave(client: client)
                puts = puts.filter { $0.key.client != client }
                gets = gets.filter { $0.client != client }
                alive.removeAll { $0 == client }
                alive.append(client + 3)
            }
            for (ticket, answer) in queue.takeAnswers() {
                switch answer {
                case .element(let element):
                    try check(gets.remove(ticket) != nil)
                    try checkEqual(element, inside.removeFirst())
                case .cancelled: try check(gets.remove(ticket) != nil || puts.removeValue(forKey: ticket) != nil)
                case .done:
                    guard let element = puts.removeValue(forKey: ticket) else {
                        throw CheckFailed(description: "\(ticket) was not put")
                    }
                    inside.append(element)
                default: throw CheckFailed(description: "\(answer)")
                }
            }
            // Nobody waits who need not.
            try check(inside.count <= capacity)
            try check(gets.isEmpty || inside.isEmpty, "step \(number)")
            try check(puts.isEmpty || inside.count == capacity, "step \(number)")
        }
    }
}
