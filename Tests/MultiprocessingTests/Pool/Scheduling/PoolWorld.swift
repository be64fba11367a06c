// SPDX-License-Identifier: Apache-2.0

@testable import Multiprocessing

/// A pool's state machine together with a model that knows the fate of every single piece, and that complains as soon as the two disagree.
struct PoolWorld {
    typealias Machine = PoolStateMachine

    /// Where a piece is.
    enum Piece: Hashable {
        case waiting(attempts: Int, suspicions: Int)
        case running
        case settled
    }

    /// A job as the model knows it.
    struct Job: Hashable {
        let rules: Int
        var pieces: [Piece] = []
        var isComplete = false
        var isOver = false
        /// The first piece that was never handed out.
        var next = 0
        /// Pieces that came back and wait, as they came back; the last ones go out first.
        var returned: [Range<Int>] = []
        /// Whether its pieces are handed out one by one.
        var isSingle = false
        /// Whether it is known how long a piece takes.
        var isMeasured = false
    }

    /// An attempt as the model knows it. Those of jobs that are over stay until the engine has answered them.
    struct Attempt: Hashable {
        let job: Int
        let pieces: Range<Int>
        let number: Int
        let suspicions: Int
        var answered = 0

        var rest: Range<Int> { pieces.lowerBound + answered..<pieces.upperBound }
    }

    /// What can happen.
    enum Event: Hashable {
        case add(job: Int, pieces: Int, isLast: Bool)
        case next(parallelism: Int)
        case answered(attempt: Int, threw: Bool)
        case finished(attempt: Int, threw: Bool)
        case lost(attempt: Int, Machine.Guilt)
        case end(job: Int)
        /// Pieces of a job are to be handed out one by one from now on.
        case handOutSingly(job: Int)
        /// The engine says again what it said already.
        case stale
    }

    let rules: [Machine.Rules]
    private(set) var machine = Machine()
    private(set) var jobs: [Job] = []
    private(set) var attempts: [Attempt] = []
    private var jobIDs: [Machine.JobID] = []
    private var attemptIDs: [Machine.AttemptID] = []
    private var pastAttempts: [Machine.AttemptID] = []

    /// A world with one job for each of the rules, without pieces.
    init(_ rules: [Machine.Rules]) {
        self.rules = rules
        for index in rules.indices {
            jobIDs.append(machine.add(rules[index]))
            jobs.append(Job(rules: index))
        }
    }

    /// The jobs that have not ended.
    var living: [Int] { jobs.indices.filter { !jobs[$0].isOver } }

    // MARK: - Events

    /// Lets something happen, in the machine and in the model.
    ///
    /// - Throws: `CheckFailed` when they disagree.
    mutating func happen(_ event: Event) throws {
        switch event {
        case .add(let job, let pieces, let isLast): try add(job, pieces, isLast)
        case .next(let parallelism): try next(parallelism)
        case .answered(let attempt, let threw): try answered(attempt, threw)
        case .finished(let attempt, let threw): try finished(attempt, threw)
        case .lost(let attempt, let guilt): try lost(attempt, guilt)
        case .end(let job): try end(job)
        case .handOutSingly(let job): handOutSingly(job)
        case .stale: try repeatOutcomes()
        }
        try checkBooks()
    }

    private mutating func add(_ job: Int, _ count: Int, _ isLast: Bool) throws {
        let ended = machine.addPieces(count, to: jobIDs[job], isLast: isLast)
        jobs[job].pieces += Array(repeating: .waiting(attempts: 0, suspicions: 0), count: count)
        if isLast { jobs[job].isComplete = true }
        try checkEqual(ended, mayEnd(job))
        if ended { jobs[job].isOver = true }
    }

    private mutating func next(_ parallelism: Int) throws {
        let waiting = living.filter { jobs[$0].pieces.contains(where: \.isWaiting) }
        guard let assignment = machine.next(parallelism: parallelism) else {
            return try check(waiting.isEmpty, "nothing was handed out, and \(waiting) wait")
        }
        guard let job = jobIDs.firstIndex(of: assignment.job) else {
            throw CheckFailed(description: "a job nobody knows")
        }
        let highest = waiting.map { rules[$0].priority }.max()
        try checkEqual(rules[job].priority, highest)
        try check(!assignment.pieces.isEmpty && assignment.pieces.count <= rules[job].mostPieces)
        guard case .waiting(let attempts, let suspicions) = jobs[job].pieces[assignment.pieces.lowerBound] else {
            throw CheckFailed(description: "\(assignment) was not waiting")
        }
        try checkEqual(assignment.number, attempts)
        // New pieces go out in order, after those that came back.
        let isNew = assignment.pieces.upperBound > jobs[job].next
        if isNew {
            try checkEqual(assignment.pieces.lowerBound, jobs[job].next)
            try check(!jobs[job].pieces[..<jobs[job].next].contains(where: \.isWaiting), "pieces that came back wait")
            try checkSize(assignment.pieces, of: job, thereAre: jobs[job].pieces.count - jobs[job].next)
            jobs[job].next = assignment.pieces.upperBound
        } else {
            guard let last = jobs[job].returned.popLast() else {
                throw CheckFailed(description: "\(assignment) did not come back")
            }
            try checkEqual(assignment.pieces.lowerBound, last.lowerBound)
            try checkSize(assignment.pieces, of: job, thereAre: last.count)
            let rest = assignment.pieces.upperBound..<last.upperBound
            if !rest.isEmpty { jobs[job].returned.append(rest) }
        }
        for piece in assignment.pieces {
            try checkEqual(jobs[job].pieces[piece], .waiting(attempts: attempts, suspicions: suspicions))
            jobs[job].pieces[piece] = .running
        }
        self.attempts.append(
            Attempt(job: job, pieces: assignment.pieces, number: assignment.number, suspicions: suspicions)
        )
        attemptIDs.append(assignment.attempt)
    }

    /// Checks how many pieces were handed out together of those that there were.
    private func checkSize(_ pieces: Range<Int>, of job: Int, thereAre count: Int) throws {
        if jobs[job].isSingle { return try checkEqual(pieces.count, 1) }
        if rules[job].isExact { return try checkEqual(pieces.count, min(rules[job].mostPieces, count)) }
        // Nothing is known of how long they take.
        if !jobs[job].isMeasured { try checkEqual(pieces.count, 1) }
    }

    private mutating func answered(_ index: Int, _ threw: Bool) throws {
        let attempt = attempts[index]
        let resolution = machine.answered(attemptIDs[index], threw: threw)
        let isKnown = !jobs[attempt.job].isOver && rules[attempt.job].isElementwise && !attempt.rest.isEmpty
        guard isKnown else { return try expect(resolution, .stale) }
        attempts[index].answered += 1
        let piece = attempt.rest.prefix(1)
        if threw, mayRetryError(attempt) {
            giveBack(piece, of: attempt, attempts: attempt.number + 1)
            return try expect(resolution, .retried)
        }
        settle(piece, of: attempt.job)
        try expect(resolution, .deliver(jobIDs[attempt.job], piece, jobEnded: false))
    }

    private mutating func finished(_ index: Int, _ threw: Bool) throws {
        let (attempt, id) = remove(index)
        let resolution = machine.finished(id, threw: threw, nanoseconds: 10)
        guard !jobs[attempt.job].isOver else { return try expect(resolution, .stale) }
        if !threw { jobs[attempt.job].isMeasured = true }
        if threw, !attempt.rest.isEmpty, mayRetryError(attempt) {
            giveBack(attempt.rest, of: attempt, attempts: attempt.number + 1)
            return try expect(resolution, .retried)
        }
        try deliver(attempt.rest, of: attempt, resolution)
    }

    private mutating func lost(_ index: Int, _ guilt: Machine.Guilt) throws {
        let (attempt, id) = remove(index)
        let resolution = machine.lost(id, guilt)
        guard !jobs[attempt.job].isOver else { return try expect(resolution, .stale) }
        guard !attempt.rest.isEmpty else { return try deliver(attempt.rest, of: attempt, resolution) }
        let isSuspected = guilt == .suspected && attempt.suspicions < Machine.mostSuspicions
        if guilt == .none || isSuspected {
            let suspicions = attempt.suspicions + (isSuspected ? 1 : 0)
            giveBack(attempt.rest, of: attempt, attempts: attempt.number, suspicions: suspicions)
            return try expect(resolution, .retried)
        }
        let guilty = rules[attempt.job].isElementwise ? attempt.rest.prefix(1) : attempt.rest
        giveBack(guilty.upperBound..<attempt.rest.upperBound, of: attempt, attempts: attempt.number)
        if attempt.number < rules[attempt.job].retries {
            giveBack(guilty, of: attempt, attempts: attempt.number + 1)
            return try expect(resolution, .retried)
        }
        try deliver(guilty, of: attempt, resolution)
    }

    private mutating func end(_ job: Int) throws {
        let stale = machine.end(job: jobIDs[job])
        guard !jobs[job].isOver else { return try check(stale == nil, "a job ended twice") }
        let expected = attempts.indices.filter { attempts[$0].job == job }.map { attemptIDs[$0] }
        try checkEqual(Set(stale ?? []), Set(expected))
        jobs[job].isOver = true
    }

    private mutating func handOutSingly(_ job: Int) {
        machine.handOutSingly(jobIDs[job])
        jobs[job].isSingle = true
    }

    private mutating func repeatOutcomes() throws {
        for id in pastAttempts.suffix(8) {
            try expect(machine.answered(id, threw: false), .stale)
            try expect(machine.finished(id, threw: false, nanoseconds: 1), .stale)
            try expect(machine.lost(id, .begun), .stale)
        }
    }

    // MARK: - The model

    private func mayEnd(_ job: Int) -> Bool {
        jobs[job].isComplete && jobs[job].pieces.allSatisfy { $0 == .settled } && !attempts.contains { $0.job == job }
    }

    private func mayRetryError(_ attempt: Attempt) -> Bool {
        rules[attempt.job].retriesErrors && attempt.number < rules[attempt.job].retries
    }

    private mutating func remove(_ index: Int) -> (Attempt, Machine.AttemptID) {
        pastAttempts.append(attemptIDs[index])
        return (attempts.remove(at: index), attemptIDs.remove(at: index))
    }

    private mutating func giveBack(_ pieces: Range<Int>, of attempt: Attempt, attempts: Int, suspicions: Int? = nil) {
        if !pieces.isEmpty { jobs[attempt.job].returned.append(pieces) }
        for piece in pieces {
            jobs[attempt.job].pieces[piece] = .waiting(
                attempts: attempts,
                suspicions: suspicions ?? attempt.suspicions
            )
        }
    }

    private mutating func settle(_ pieces: Range<Int>, of job: Int) {
        for piece in pieces { jobs[job].pieces[piece] = .settled }
    }

    private mutating func deliver(_ pieces: Range<Int>, of attempt: Attempt, _ resolution: Machine.Resolution) throws {
        settle(pieces, of: attempt.job)
        let ends = mayEnd(attempt.job)
        if ends { jobs[attempt.job].isOver = true }
        try expect(resolution, .deliver(jobIDs[attempt.job], pieces, jobEnded: ends))
    }

    private func expect(_ resolution: Machine.Resolution, _ expected: Machine.Resolution) throws {
        try checkEqual("\(resolution)", "\(expected)")
    }

    /// Checks what the machine counts.
    private func checkBooks() throws {
        let waiting = living.reduce(0) { sum, job in sum + jobs[job].pieces.count(where: \.isWaiting) }
        try checkEqual(machine.waiting, waiting)
        try checkEqual(machine.running, attempts.reduce(0) { $0 + $1.rest.count })
        try checkEqual(machine.jobs.count, living.count)
        try checkEqual(machine.attempts.count, attempts.count)
        for job in jobs.indices { try checkEqual(machine.jobs.contains(jobIDs[job]), !jobs[job].isOver) }
    }

    // MARK: - Comparing

    /// What can be told of a world from outside, now and later.
    struct Appearance: Hashable {
        let jobs: [Job]
        let attempts: [Attempt]
        let order: [String]
    }

    /// Worlds that look the same behave the same, whatever led to them.
    var appearance: Appearance {
        var copy = machine
        var order: [String] = []
        while let next = copy.next(parallelism: 1) {
            let job = jobIDs.firstIndex(of: next.job) ?? -1
            order.append("\(job) \(next.pieces) \(next.number)")
        }
        return Appearance(jobs: jobs, attempts: attempts, order: order)
    }
}

extension PoolWorld.Piece {
    /// Whether it can be handed out.
    var isWaiting: Bool {
        if case .waiting = self { return true }
        return false
    }
}
