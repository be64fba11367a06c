// SPDX-License-Identifier: Apache-2.0

import Multiprocessing
import Testing

/// The reactor's waits without any descriptor or clock.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ReactorStateMachineTests {
    @Test func `a wait ends once, by whatever comes first`() {
        var machine = ReactorStateMachine<String>()
        let wait = machine.add("a", descriptor: 5, isPersistent: false, deadline: 100)
        #expect(wait.isEarliest)
        #expect(machine.ready(wait.token)?.ended == 5)
        #expect(machine.ready(wait.token) == nil)
        #expect(machine.remove(wait.token) == nil)
        #expect(machine.expire(now: 200).isEmpty)
        #expect(machine.earliestDeadline == nil)
    }

    @Test func `a watch goes on until it is removed`() {
        var machine = ReactorStateMachine<String>()
        let watch = machine.add("w", descriptor: 3, isPersistent: true, deadline: nil)
        for _ in 0..<3 {
            let ready = machine.ready(watch.token)
            #expect(ready?.handler == "w" && ready?.ended == nil)
        }
        #expect(machine.remove(watch.token)?.descriptor == 3)
        #expect(machine.ready(watch.token) == nil)
    }

    @Test func `deadlines expire in time and in order, as a sorted list would have them`() {
        var random = Seeded(seed: 5)
        var machine = ReactorStateMachine<Int>()
        var model: [UInt64: (time: Int64, handler: Int)] = [:]
        var now: Int64 = 0
        for step in 0..<20_000 {
            switch Int.random(in: 0..<6, using: &random) {
            case 0..<3:
                let time = now + Int64.random(in: 1...1000, using: &random)
                let added = machine.add(step, descriptor: nil, isPersistent: false, deadline: time)
                #expect(added.isEarliest == model.values.allSatisfy { time < $0.time })
                model[added.token] = (time, step)
            case 3:
                if let token = model.keys.randomElement(using: &random) {
                    #expect(machine.remove(token)?.handler == model[token]?.handler)
                    model[token] = nil
                }
            default:
                now += Int64.random(in: 0...50, using: &random)
                let due = model.filter { $0.value.time <= now }
                #expect(Set(machine.expire(now: now).map(\.handler)) == Set(due.values.map(\.handler)))
                for token in due.keys { model[token] = nil }
            }
            #expect(machine.earliestDeadline == model.values.map(\.time).min())
            #expect(machine.count == model.count)
        }
    }
}
