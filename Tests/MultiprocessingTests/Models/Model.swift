// SPDX-License-Identifier: Apache-2.0
//
// Whether a history is a possible one.
//
// A history is possible when every call can be given a moment between its beginning and its end at which it happened as a whole, so that a primitive that does one thing at a time would have answered the
// same (M. Herlihy and J. Wing, "Linearizability", 1990). All choices that are still open are followed side by side, and those are dropped that contradict an answer, when the call ends that
// got it (G. Lowe, "Testing for linearizability", 2017, section 3.1: just-in-time linearisation).

/// What a primitive is to do, one call at a time.
protocol Model {
    associatedtype Operation: BitwiseCopyable, Sendable
    associatedtype State: Hashable

    /// How it is at first.
    var initial: State { get }

    /// What the situation can become when `call` happens in it: the new ones, with answers given; none when the call has to wait.
    func happen(_ call: Call<Operation>, by caller: Int, in situation: Situation<State>) -> [Situation<State>]

    /// Whether a call with this answer changes nothing, whenever it happened.
    func changesNothing(_ call: Call<Operation>) -> Bool
}

/// The state of a primitive, and what it has answered to calls that have not ended yet.
struct Situation<State: Hashable>: Hashable {
    struct Given: Hashable {
        let answer: Int
        /// The least that the caller has to see afterwards.
        let seen: Int
    }

    var state: State
    var given: [Given?]

    /// The situation with an answer given to `caller`.
    mutating func give(_ answer: Int, to caller: Int, seen: Int = 0) {
        given[caller] = Given(answer: answer, seen: seen)
    }

    /// The situation with an answer given to `caller`, and nothing else changed.
    func giving(_ answer: Int, to caller: Int) -> Self {
        var result = self
        result.give(answer, to: caller)
        return result
    }
}

extension Model {
    /// Throws when there is no order in which `history` can have happened.
    func verify(_ history: History<Operation>) throws {
        let calls = history.all
        try check(calls.allSatisfy { !$0.isEmpty }, "somebody has not called at all")
        var marks: [(time: Int64, isEnd: Bool, caller: Int, index: Int)] = []
        for (caller, calls) in calls.enumerated() {
            for (index, call) in calls.enumerated() {
                let tooEarly = call.answer == Answer.timedOut && call.end - call.start < call.timeout
                try check(!tooEarly, "\(call) has not waited long enough")
                marks += [(call.start, false, caller, index), (call.end, true, caller, index)]
            }
        }
        // What begins when something else ends may have happened before it.
        marks.sort { ($0.time, $0.isEnd ? 1 : 0) < ($1.time, $1.isEnd ? 1 : 0) }

        var pending = [Call<Operation>?](repeating: nil, count: calls.count)
        var situations: Set = [Situation(state: initial, given: Array(repeating: nil, count: calls.count))]
        for mark in marks {
            guard mark.isEnd else {
                pending[mark.caller] = calls[mark.caller][mark.index]
                continue
            }
            let before = situations
            situations = Set(
                follow(situations, pending, until: mark.caller).map { situation in
                    var situation = situation
                    situation.given[mark.caller] = nil
                    return situation
                }
            )
            let call = calls[mark.caller][mark.index]
            try check(
                !situations.isEmpty,
                "call \(mark.index) of caller \(mark.caller), \(call), is impossible in \(before) with \(pending)"
            )
            pending[mark.caller] = nil
        }
    }

    /// All situations in which `caller` has the answer that it wrote down.
    private func follow(
        _ situations: Set<Situation<State>>,
        _ pending: [Call<Operation>?],
        until caller: Int
    ) -> Set<Situation<State>> {
        var open = Array(situations)
        var known = situations
        var result: Set<Situation<State>> = []
        while let next = open.popLast() {
            let situation = ask(in: next, pending)
            guard situation.given[caller] == nil else {
                result.insert(situation)
                continue
            }
            for (other, call) in pending.enumerated() {
                guard let call, situation.given[other] == nil else { continue }
                for next in happen(call, by: other, in: situation) where agrees(next, pending) {
                    if known.insert(next).inserted { open.append(next) }
                }
            }
        }
        return result
    }

    /// Lets everything happen that fits now and changes nothing: it cannot be better later.
    private func ask(in situation: Situation<State>, _ pending: [Call<Operation>?]) -> Situation<State> {
        var situation = situation
        for (caller, call) in pending.enumerated() {
            guard let call, situation.given[caller] == nil, changesNothing(call) else { continue }
            guard let next = happen(call, by: caller, in: situation).first(where: { agrees($0, pending) }) else {
                continue
            }
            situation = next
        }
        return situation
    }

    /// Whether the answers given so far are those that were written down.
    private func agrees(_ situation: Situation<State>, _ pending: [Call<Operation>?]) -> Bool {
        zip(situation.given, pending).allSatisfy { given, call in
            guard let given, let call else { return true }
            return given.answer == call.answer && call.seen >= given.seen
        }
    }
}
