// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Testing

/// Equal to others of the same name, whatever else it holds.
private struct Named: Hashable, Codable, Sendable {
    let name: String
    var mark: Int

    static func == (a: Named, b: Named) -> Bool { a.name == b.name }

    func hash(into hasher: inout Hasher) { hasher.combine(name) }
}

/// The methods that take a function, and what else Swift's collections have.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ManagedFunctionsTests {
    @Test func `a list takes functions, which are called in the manager`() async throws {
        try await isolated {
            let manager = try Manager()
            let list = try manager.list([3, 1, 2, 1])
            let bound = 2
            try list.sort(by: >)
            try checkEqual(try list.value(), [3, 2, 1, 1])
            try checkEqual(try list.firstIndex { $0 < bound }, 2)
            try checkEqual(try list.lastIndex { $0 < bound }, 3)
            try checkEqual(try list.first { $0 < bound }, 1)
            try check(try list.contains { $0 == bound })
            try checkEqual(try list.filter { $0 >= bound }, [3, 2])
            try checkEqual(try [list.lastIndex(of: 1), list.lastIndex(of: 9)], [3, nil])
            try checkEqual(try [list.min(), list.max()], [1, 3])
            try list.shuffle()
            try checkEqual(try list.value().sorted(), [1, 1, 2, 3])
            try list.removeAll { $0 < bound }
            try checkEqual(try list.value().sorted(), [2, 3])
            do {
                try list.removeAll { throw TooMany(count: $0) }
                try check(false)
            } catch is TooMany {}
            try list.removeAll()
            try checkEqual(try [list.min(), list.max()], [nil, nil])
            try manager.shutdown()
        }
    }

    @Test func `a dictionary takes functions, which are called in the manager`() async throws {
        try await isolated {
            let manager = try Manager()
            let counts = try manager.dictionary(["a": 1, "b": 2])
            try counts.merge(["b": 3, "c": 4]) { $0 + $1 }
            try checkEqual(try counts.value(), ["a": 1, "b": 5, "c": 4])
            try checkEqual(try counts.filter { key, value in key == "a" || value > 4 }, ["a": 1, "b": 5])
            try checkEqual(try counts.mapValues { "\($0)" }, ["a": "1", "b": "5", "c": "4"])
            try checkEqual(try counts.count(), 3)
            try manager.shutdown()
        }
    }

    @Test func `a set compares strictly, and replaces equal elements`() async throws {
        try await isolated {
            let manager = try Manager()
            let set = try manager.set([1, 2])
            try check(try set.isStrictSubset(of: [1, 2, 3]) && !set.isStrictSubset(of: [1, 2]))
            try check(try set.isStrictSuperset(of: [1]) && !set.isStrictSuperset(of: [1, 2]))
            let names = try manager.set([Named(name: "a", mark: 1)])
            try checkEqual(try names.update(with: Named(name: "a", mark: 2))?.mark, 1)
            try check(try names.update(with: Named(name: "b", mark: 3)) == nil)
            try checkEqual(try names.value().map(\.mark).sorted(), [2, 3])
            try manager.shutdown()
        }
    }

    @Test func `tasks have all of that as well`() async throws {
        try await apart(timeout: .seconds(300)) { () async throws in
            let manager = try Manager()
            let list = try await manager.list([2, 1])
            try await list.sort { $0 < $1 }
            try await list.shuffle()
            try await list.removeAll { $0 > 1 }
            try checkEqual(try await list.value(), [1])
            try checkEqual(
                try await [list.firstIndex { $0 == 1 }, list.lastIndex { $0 == 1 }, list.lastIndex(of: 1)],
                [0, 0, 0]
            )
            try checkEqual(try await [list.first { $0 == 1 }, list.min(), list.max()], [1, 1, 1])
            try checkEqual(try await list.contains { $0 == 1 }, true)
            try checkEqual(try await list.filter { $0 == 1 }, [1])
            let counts = try await manager.dictionary(["a": 1])
            try await counts.merge(["a": 2]) { $0 + $1 }
            try checkEqual(try await counts.filter { $1 == 3 }, ["a": 3])
            try checkEqual(try await counts.mapValues { $0 + 1 }, ["a": 4])
            let set = try await manager.set([1])
            try checkEqual(try await set.isStrictSubset(of: [1, 2]), true)
            try checkEqual(try await set.isStrictSuperset(of: []), true)
            try checkEqual(try await set.update(with: 1), 1)
            try await manager.shutdown()
        }
    }
}
