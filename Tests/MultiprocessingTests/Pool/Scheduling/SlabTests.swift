// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Multiprocessing

/// The collections that the scheduler is made of, against what the standard library does.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct SlabTests {
    @Test func `a key finds its value and nothing else, however often places are used again`() throws {
        var random = Seeded(seed: 3)
        var slab = Slab<Int>()
        var model: [Slab<Int>.Key: Int] = [:]
        var removed: [Slab<Int>.Key] = []
        for step in 0..<20_000 {
            if model.count < 20, Bool.random(using: &random) {
                let key = slab.insert(step)
                try check(key.number != 0 && model[key] == nil && !removed.contains(key))
                model[key] = step
            } else if let key = model.keys.min(by: { $0.number < $1.number }), Bool.random(using: &random) {
                try checkEqual(slab.remove(key), model.removeValue(forKey: key))
                removed = removed.suffix(50) + [key]
            } else if let key = model.keys.max(by: { $0.number < $1.number }) {
                slab[existing: key] = step
                model[key] = step
            }
            try checkEqual(slab.count, model.count)
            if let past = removed.randomElement(using: &random) {
                try check(!slab.contains(past) && slab[past] == nil && slab.remove(past) == nil)
            }
            if let key = model.keys.randomElement(using: &random) { try checkEqual(slab[key], model[key]) }
        }
        try checkEqual(Set(slab.keys), Set(model.keys))
    }

    @Test func `keys that were never given out find nothing`() throws {
        var slab = Slab<Int>()
        _ = slab.insert(1)
        for number: UInt64 in [0, 1, .max, 1 << 32 | 7, 2 << 32] {
            #expect(!slab.contains(Slab<Int>.Key(number: number)))
        }
        #expect(slab.contains(Slab<Int>.Key(number: 1 << 32)))
    }

    @Test func `a queue gives out what came in, in order`() throws {
        var random = Seeded(seed: 4)
        var queue = FIFO<Int>()
        var model: [Int] = []
        for step in 0..<10_000 {
            switch Int.random(in: 0..<9, using: &random) {
            case 0..<4:
                queue.append(step)
                model.append(step)
            case 4:
                queue.prepend(step)
                model.insert(step, at: 0)
            case 5..<7: try checkEqual(queue.popFirst(), model.isEmpty ? nil : model.removeFirst())
            case 7: try checkEqual(queue.popLast(), model.popLast())
            default:
                let wanted = model.randomElement(using: &random)
                queue.modify { element in
                    guard element == wanted else { return false }
                    element = -step
                    return true
                }
                if let index = model.firstIndex(where: { $0 == wanted }) { model[index] = -step }
            }
            try checkEqual(queue.count, model.count)
            try checkEqual(queue.first, model.first)
            try checkEqual(queue.last, model.last)
            try checkEqual(queue.isEmpty, model.isEmpty)
            if step % 50 == 0 { try checkEqual(queue.all, model) }
        }
    }
}
