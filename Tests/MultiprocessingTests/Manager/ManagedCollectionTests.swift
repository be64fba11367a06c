// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ManagedCollectionTests {
    @Test func `a list does what an array and Python's list do`() async throws {
        try await isolated {
            let manager = try Manager()
            let list = try manager.list([3, 1, 2])
            try list.append(contentsOf: [5, 4])
            try checkEqual(try list.value(), [3, 1, 2, 5, 4])
            try list.insert(9, at: 0)
            try list.insert(contentsOf: [7, 7], at: 6)
            try checkEqual(try list.value(), [9, 3, 1, 2, 5, 4, 7, 7])
            try checkEqual(try list.remove(at: 0), 9)
            try checkEqual(try list.count(of: 7), 2)
            try check(try list.remove(7))
            try check(try !list.remove(100))
            try checkEqual(try list.popLast(), 7)
            try checkEqual(try list.popFirst(), 3)
            try list.set(8, at: 1)
            try checkEqual(try list.value(), [1, 8, 5, 4])
            try list.sort()
            try list.reverse()
            try checkEqual(try list.value(), [8, 5, 4, 1])
            try list.swapAt(0, 3)
            try list.replaceSubrange(1..<3, with: [0])
            try checkEqual(try list.value(), [1, 0, 8])
            try checkEqual(try [list.first(), list.last(), list.firstIndex(of: 8)], [1, 8, 2])
            try check(try list.contains(0))
            try list.repeatElements(2)
            try checkEqual(try list.elements(in: 2..<5), [8, 1, 0])
            try checkEqual(try list.element(at: 2), 8)
            try list.removeSubrange(0..<5)
            try checkEqual(try list.count(), 1)
            try list.setValue([4])
            try list.removeAll()
            try check(try list.isEmpty())
            try checkEqual(try list.popLast(), nil)
            try checkEqual(try list.managed.withValue { $0.count }, 0)
            try manager.shutdown()
        }
    }

    @Test func `an index that is not there is an error, and the manager goes on`() async throws {
        try await isolated {
            let manager = try Manager()
            let list = try manager.list([1, 2, 3])
            func checkOutOfRange<R>(line: Int = #line, _ body: () throws -> R) throws {
                do {
                    _ = try body()
                    try check(false, line: line)
                } catch let error as ManagerError { try checkEqual(error.code, .outOfRange, line: line) }
            }
            try checkOutOfRange { try list.element(at: 3) }
            try checkOutOfRange { try list.element(at: -1) }
            try checkOutOfRange { try list.set(1, at: 3) }
            try checkOutOfRange { try list.remove(at: 3) }
            try checkOutOfRange { try list.insert(1, at: 4) }
            try checkOutOfRange { try list.insert(1, at: -1) }
            try checkOutOfRange { try list.insert(1, at: .max) }
            try checkOutOfRange { try list.elements(in: 2..<4) }
            try checkOutOfRange { try list.replaceSubrange(-1..<1, with: []) }
            try checkOutOfRange { try list.swapAt(0, 3) }
            try checkEqual(try list.value(), [1, 2, 3])
            try manager.shutdown()
        }
    }

    @Test func `a dictionary does what Swift's and Python's do`() async throws {
        try await isolated {
            let manager = try Manager()
            let ages = try manager.dictionary(of: String.self, to: Int.self)
            try ages.setValue(42, forKey: "Arthur")
            try checkEqual(try ages.updateValue(43, forKey: "Arthur"), 42)
            try checkEqual(try ages.setDefault(7, forKey: "Ford"), 7)
            try checkEqual(try ages.setDefault(8, forKey: "Ford"), 7)
            try checkEqual(try ages.value(forKey: "Zaphod"), nil)
            try checkEqual(try ages.value(forKey: "Zaphod", default: 1), 1)
            try check(try ages.contains(key: "Ford"))
            try ages.merge(["Ford": 200, "Trillian": 30])
            try checkEqual(try ages.value(), ["Arthur": 43, "Ford": 200, "Trillian": 30])
            try checkEqual(try ages.keys().sorted(), ["Arthur", "Ford", "Trillian"])
            try checkEqual(try ages.values().sorted(), [30, 43, 200])
            try checkEqual(try ages.removeValue(forKey: "Ford"), 200)
            let popped = try ages.popFirst()
            try check(popped?.key == "Arthur" || popped?.key == "Trillian")
            try checkEqual(try ages.count(), 1)
            try ages.removeAll()
            try check(try ages.isEmpty())
            try check(try ages.popFirst() == nil)
            try ages.setValue(["a": 1])
            try checkEqual(try manager.dictionary(["b": 2]).value(), ["b": 2])
            try manager.shutdown()
        }
    }

    @Test func `a set does what Swift's and Python's do`() async throws {
        try await isolated {
            let manager = try Manager()
            let set = try manager.set([1, 2, 3])
            try check(try set.insert(4))
            try check(try !set.insert(4))
            try check(try set.remove(1))
            try check(try !set.remove(1))
            try check(try set.contains(2))
            try checkEqual(try set.union([9]), [2, 3, 4, 9])
            try checkEqual(try set.intersection([2, 9]), [2])
            try checkEqual(try set.subtracting([2]), [3, 4])
            try checkEqual(try set.symmetricDifference([2, 9]), [3, 4, 9])
            try check(try set.isSubset(of: [2, 3, 4, 5]))
            try check(try set.isSuperset(of: [2]))
            try check(try set.isDisjoint(with: [1]))
            try set.formUnion([5, 6])
            try set.subtract([2])
            try set.formIntersection([3, 4, 5])
            try set.formSymmetricDifference([5, 7])
            try checkEqual(try set.value(), [3, 4, 7])
            try checkEqual(try set.count(), 3)
            try check(try set.popFirst() != nil)
            try set.removeAll()
            try check(try set.isEmpty())
            try checkEqual(try set.popFirst(), nil)
            try set.setValue([1])
            try manager.shutdown()
        }
    }

    @Test func `a namespace holds values of any type by name`() async throws {
        try await isolated {
            let manager = try Manager()
            let names = try manager.namespace()
            try names.set(10, forName: "limit")
            let process = ChildProcess {
                try names.set(["a", "b"], forName: "words")
                try checkEqual(try names.get("limit"), 10)
            }
            try process.start()
            try process.join()
            try checkEqual(process.exitCode, 0)
            try process.close()
            try checkEqual(try names.get("words", as: [String].self), ["a", "b"])
            try checkEqual(try names.get("nothing", as: Int.self), nil)
            do {
                _ = try names.get("words", as: Int.self)
                try check(false)
            } catch let error as ManagerError { try checkEqual(error.code, .otherType) }
            try checkEqual(try names.names(), ["limit", "words"])
            try check(try names.remove("limit"))
            try check(try !names.remove("limit"))
            try manager.shutdown()
        }
    }

    @Test func `handles are equal when they stand for the same value`() async throws {
        try await isolated {
            let manager = try Manager()
            let (first, second) = (try manager.list([1]), try manager.list([1]))
            let lists = try manager.list([first, second])
            try checkEqual(try lists.firstIndex(of: second), 1)
            try checkEqual(try lists.value(), [first, second])
            try check(first != second)
            // A plain value inside is a value: changing a copy changes nothing.
            let rows = try manager.list([[1], [2]])
            var row = try rows.element(at: 0)
            row.append(5)
            try checkEqual(try rows.value(), [[1], [2]])
            try manager.shutdown()
        }
    }

    @Test func `what else a manager makes is made here`() async throws {
        try await isolated {
            let manager = try Manager()
            let queue = try manager.queue(of: Int.self)
            try queue.put(1)
            try manager.lock().withLock { try checkEqual(try queue.get(), 1) }
            try manager.recursiveLock().withLock {}
            try manager.event().set()
            try checkEqual(try manager.value(3).value, 3)
            try checkEqual(Array(try manager.array([1, 2])), [1, 2])
            try manager.semaphore(value: 2).acquire()
            try manager.boundedSemaphore().acquire()
            try manager.joinableQueue(of: Int.self).put(1)
            try manager.condition().withLock {}
            _ = try manager.barrier(parties: 1).wait()
            try manager.shutdown()
        }
    }
}
