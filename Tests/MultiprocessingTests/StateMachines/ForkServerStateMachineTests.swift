// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Testing

/// A server and its clients without any process: who waits gets a child, whatever happens in between.
@Suite(.timeLimit(.minutes(1)))
struct ForkServerStateMachineTests {
    private typealias Machine = ForkServerStateMachine<Int, Int>

    private func fail(_ comment: Comment) {
        Issue.record(comment)
    }

    /// A server as far as the machine can see it.
    private struct Server {
        let generation: Int
        /// Spares that were ordered and not yet made.
        var orders = 0
    }

    @Test func `the first start makes a server and the others wait for it`() {
        var machine = Machine(target: 2)
        guard case .startServer(let generation) = machine.take(waiter: 1) else { return fail("no server") }
        guard case .wait(let order) = machine.take(waiter: 2) else { return fail("did not wait") }
        #expect(order.isEmpty)
        #expect(machine.started(generation: generation) == Machine.Order(wanted: 1, ready: 2))
        guard case .give(2) = machine.arrived(10, generation: generation) else { return fail("not given") }
        guard case .keep = machine.arrived(11, generation: generation) else { return fail("not kept") }
        guard case .use(11, let next) = machine.take(waiter: 3) else { return fail("not used") }
        #expect(next == Machine.Order(wanted: 0, ready: 1))
    }

    @Test func `a server that ends without a child three times is given up`() {
        var machine = Machine(target: 0)
        for attempt in 1...3 {
            guard case .startServer(let generation) = machine.take(waiter: 0) else { return fail("no server") }
            _ = machine.started(generation: generation)
            guard case .wait = machine.take(waiter: 7) else { return fail("did not wait") }
            let ended = machine.ended(generation: generation, forGood: false)
            #expect(ended.waiters == [7])
            #expect(ended.tryAgain == (attempt < 3))
        }
    }

    @Test func `what an earlier server still says is of no account`() {
        var machine = Machine(target: 1)
        guard case .startServer(let first) = machine.take(waiter: 0) else { return fail("no server") }
        _ = machine.started(generation: first)
        _ = machine.ended(generation: first, forGood: false)
        guard case .startServer(let second) = machine.take(waiter: 0) else { return fail("no server") }
        guard case .drop = machine.arrived(1, generation: first) else { return fail("not dropped") }
        #expect(machine.ended(generation: first, forGood: true).waiters.isEmpty)
        #expect(machine.started(generation: second) == Machine.Order(wanted: 0, ready: 1))
    }

    @Test func `at any order of events nobody waits without a child on the way`() {
        var random = Seeded(seed: 11)
        for _ in 0..<300 {
            var machine = Machine(target: Int.random(in: 0...3, using: &random))
            var server: Server?
            var starting: Int?
            var waiting: Set<Int> = []
            var nextWaiter = 0
            for _ in 0..<200 {
                switch Int.random(in: 0..<10, using: &random) {
                case 0..<4:
                    nextWaiter += 1
                    switch machine.take(waiter: nextWaiter) {
                    case .use(_, let order): server?.orders += order.wanted + order.ready
                    case .wait(let order):
                        waiting.insert(nextWaiter)
                        server?.orders += order.wanted + order.ready
                    case .startServer(let generation):
                        #expect(server == nil && starting == nil)
                        starting = generation
                    }
                case 4..<8:
                    if let generation = starting {
                        let order = machine.started(generation: generation)
                        server = Server(generation: generation, orders: order.wanted + order.ready)
                        starting = nil
                    } else if var current = server, current.orders > 0 {
                        current.orders -= 1
                        server = current
                        if case .give(let waiter) = machine.arrived(0, generation: current.generation) {
                            #expect(waiting.remove(waiter) != nil)
                        }
                    }
                case 8:
                    if let generation = server?.generation ?? starting {
                        for waiter in machine.ended(generation: generation, forGood: false).waiters {
                            waiting.remove(waiter)
                        }
                        #expect(waiting.isEmpty)
                        (server, starting) = (nil, nil)
                    }
                default:
                    if var current = server, current.orders > 0 {
                        current.orders -= 1
                        server = current
                        if let waiter = machine.forkFailed(generation: current.generation) { waiting.remove(waiter) }
                    }
                }
                // Each who waits has a child on the way, or a server that will be told of it.
                #expect(waiting.isEmpty || starting != nil || (server?.orders ?? 0) >= waiting.count)
            }
        }
    }
}
