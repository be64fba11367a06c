// SPDX-License-Identifier: Apache-2.0
//
// What a pool does next. Pure: no process, no lock, no clock.
//
// A job is what one call of the user submits: pieces in order, which may come little by little (a lazy map) or all at once. A piece is the smallest thing that is handed out: a call, or an array of elements. An attempt is
// a run of consecutive pieces of one job in the hands of the engine, which answers it exactly once: finished or lost. How many pieces go into an attempt is decided by how long pieces take.
//
//      pieces:   waiting ──next()──▶ in an attempt ──finished──▶ settled
//                   ▲                     │
//                   └──── lost, retried ──┘──── lost, or threw ──▶ settled, failed

/// The state of a pool's jobs. `Owner` is whoever is told of a job's fate; opaque here.
struct PoolStateMachine<Owner> {
    typealias JobID = Slab<Job>.Key
    typealias AttemptID = Slab<Attempt>.Key

    /// How a job is to be treated.
    struct Rules {
        /// Jobs with a higher one go first; within one, in the order they came.
        var priority = 0
        /// How many more attempts a piece gets whose worker was lost.
        var retries = 0
        /// Whether a piece that threw gets them too.
        var retriesErrors = false
        /// Whether the first piece that fails fails the job.
        var failsFast = true
        /// The most pieces in an attempt; 1 where the user chose the size of a chunk.
        var mostPieces = Int.max
        /// Whether an attempt gets so many from the start, not as many as suit how long they take.
        var isExact = false
        /// Whether pieces are answered one by one.
        var isElementwise = false
    }

    /// A job.
    struct Job {
        let owner: Owner
        let rules: Rules
        /// How many pieces have come.
        var available = 0
        /// The first that was never handed out.
        var next = 0
        /// Handed out and given back, with the number of attempts they had.
        var returned: [(pieces: Range<Int>, attempts: Int)] = []
        /// How many pieces have their outcome.
        var settled = 0
        /// Whether no more pieces come.
        var isComplete = false
        /// Nanoseconds a piece takes, as far as is known.
        var pieceTime: Double?
        /// How many attempts are under way.
        var attempts = 0
        var isQueued = false
        var handsOutSingly = false

        var hasWaiting: Bool { next < available || !returned.isEmpty }
        var waiting: Int { available - next + returned.reduce(0) { $0 + $1.pieces.count } }
    }

    /// Some pieces in the hands of the engine.
    struct Attempt {
        let job: JobID
        let pieces: Range<Int>
        /// How often these pieces were tried before.
        let number: Int
        /// How many of them were answered one by one.
        var answered = 0
    }

    /// What to hand out.
    struct Assignment {
        let attempt: AttemptID
        let job: JobID
        let pieces: Range<Int>
        let number: Int
    }

    /// How long an attempt should take when there is much to do, in nanoseconds: long against what handing out costs, short against what a user notices.
    static var desiredTime: Double { 2_000_000 }

    private(set) var jobs = Slab<Job>()
    private(set) var attempts = Slab<Attempt>()
    /// Jobs with waiting pieces, by priority, highest first.
    private var queues: [(priority: Int, jobs: FIFO<JobID>)] = []

    /// Pieces that wait to be handed out.
    private(set) var waiting = 0
    /// Pieces in attempts.
    private(set) var running = 0

    // MARK: - Submitting

    /// Adds a job without pieces.
    mutating func add(_ owner: Owner, _ rules: Rules) -> JobID {
        jobs.insert(Job(owner: owner, rules: rules))
    }

    /// Adds pieces to a job. Does nothing when it has ended.
    ///
    /// - Parameter isLast: Whether no more come.
    /// - Returns: Whether the job has ended by that: it was complete already but for being told so.
    mutating func addPieces(_ count: Int, to id: JobID, isLast: Bool) -> Bool {
        guard jobs.contains(id) else { return false }
        jobs[id]?.available += count
        waiting += count
        if isLast { jobs[id]?.isComplete = true }
        enqueue(id)
        return removeIfSettled(id)
    }

    private mutating func enqueue(_ id: JobID, inFront: Bool = false) {
        guard let job = jobs[id], !job.isQueued, job.hasWaiting else { return }
        jobs[id]?.isQueued = true
        let priority = job.rules.priority
        if let index = queues.firstIndex(where: { $0.priority <= priority }) {
            if queues[index].priority != priority { queues.insert((priority, FIFO()), at: index) }
            queues[index].jobs.append(id)
        } else {
            queues.append((priority, FIFO()))
            queues[queues.count - 1].jobs.append(id)
        }
    }

    // MARK: - Handing out

    /// Returns what the engine should do next, and notes it as under way.
    ///
    /// - Parameter parallelism: How many can be done at the same time.
    mutating func next(parallelism: Int) -> Assignment? {
        while !queues.isEmpty {
            guard let id = queues[0].jobs.first else {
                queues.removeFirst()
                continue
            }
            guard jobs.contains(id), let taken = take(from: id, parallelism) else {
                queues[0].jobs.popFirst()
                if jobs.contains(id) { jobs[id]?.isQueued = false }
                continue
            }
            if jobs[id]?.hasWaiting == false {
                queues[0].jobs.popFirst()
                jobs[id]?.isQueued = false
            }
            let attempt = attempts.insert(Attempt(job: id, pieces: taken.pieces, number: taken.attempts))
            jobs[id]?.attempts += 1
            waiting -= taken.pieces.count
            running += taken.pieces.count
            return Assignment(attempt: attempt, job: id, pieces: taken.pieces, number: taken.attempts)
        }
        return nil
    }

    private mutating func take(from id: JobID, _ parallelism: Int) -> (pieces: Range<Int>, attempts: Int)? {
        guard let job = jobs[id] else { return nil }
        let most = attemptSize(job, parallelism)
        if let returned = job.returned.last {
            let pieces = returned.pieces
            let count = min(most, pieces.count)
            if count == pieces.count {
                jobs[id]?.returned.removeLast()
            } else {
                jobs[id]?.returned[job.returned.count - 1].pieces = pieces.lowerBound + count..<pieces.upperBound
            }
            return (pieces.lowerBound..<pieces.lowerBound + count, returned.attempts)
        }
        guard job.next < job.available else { return nil }
        let end = min(job.next + most, job.available)
        defer { jobs[id]?.next = end }
        return (job.next..<end, 0)
    }

    /// How many pieces to hand out together: for the desired time, but never so many that others would stand idle at the end (guided self-scheduling, Polychronopoulos and Kuck 1987).
    private func attemptSize(_ job: Job, _ parallelism: Int) -> Int {
        guard job.rules.mostPieces > 1, !job.handsOutSingly else { return 1 }
        if job.rules.isExact { return job.rules.mostPieces }
        guard let pieceTime = job.pieceTime else { return 1 }
        let byTime = max(1, Int(min(Self.desiredTime / max(pieceTime, 1), 1e9)))
        let byShare = max(1, job.waiting / (2 * max(parallelism, 1)))
        return min(byTime, byShare, job.rules.mostPieces)
    }

    // MARK: - Outcomes

    /// What an outcome means for those who wait.
    enum Resolution {
        /// Nobody waits for it any more.
        case stale
        /// Give the outcome of these pieces to the owner.
        case deliver(Owner, Range<Int>, jobEnded: Bool)
        /// They are tried again.
        case retried
    }

    /// An element of an attempt was answered.
    mutating func answered(_ id: AttemptID) -> Resolution {
        guard let attempt = attempts[id], attempt.answered < attempt.pieces.count, let job = jobs[attempt.job] else {
            return .stale
        }
        let piece = attempt.pieces.lowerBound + attempt.answered
        attempts[id]?.answered += 1
        running -= 1
        jobs[attempt.job]?.settled += 1
        // The attempt itself is still to be heard of, so the job has not ended.
        return .deliver(job.owner, piece..<piece + 1, jobEnded: false)
    }

    /// An attempt has finished: returned, or thrown if `threw`.
    mutating func finished(_ id: AttemptID, threw: Bool, nanoseconds: Int64) -> Resolution {
        guard let attempt = end(id), let job = jobs[attempt.job] else { return .stale }
        if !threw { learn(attempt.job, nanoseconds, attempt.pieces.count) }
        if threw, job.rules.retriesErrors, attempt.number < job.rules.retries {
            giveBack(attempt.pieces, of: attempt.job, attempts: attempt.number + 1)
            return .retried
        }
        return settle(attempt, from: attempt.answered, job)
    }

    /// An attempt was lost.
    ///
    /// - Parameter begun: Whether its worker had begun with it; otherwise it simply waits again.
    mutating func lost(_ id: AttemptID, begun: Bool) -> Resolution {
        guard let attempt = end(id), let job = jobs[attempt.job] else { return .stale }
        let rest = attempt.pieces.lowerBound + attempt.answered..<attempt.pieces.upperBound
        if !begun {
            giveBack(rest, of: attempt.job, attempts: attempt.number)
            return .retried
        }
        guard !rest.isEmpty else { return settle(attempt, from: attempt.answered, job) }
        // One by one, it is known which piece was at work; the ones behind it have no part in it.
        if job.rules.isElementwise, rest.count > 1 {
            giveBack(rest.lowerBound + 1..<rest.upperBound, of: attempt.job, attempts: attempt.number)
        }
        let guilty = job.rules.isElementwise ? rest.lowerBound..<min(rest.lowerBound + 1, rest.upperBound) : rest
        if attempt.number < job.rules.retries {
            giveBack(guilty, of: attempt.job, attempts: attempt.number + 1)
            return .retried
        }
        jobs[attempt.job]?.settled += guilty.count
        return .deliver(job.owner, guilty, jobEnded: removeIfSettled(attempt.job))
    }

    private mutating func settle(_ attempt: Attempt, from answered: Int, _ job: Job) -> Resolution {
        let rest = attempt.pieces.lowerBound + answered..<attempt.pieces.upperBound
        jobs[attempt.job]?.settled += rest.count
        return .deliver(job.owner, rest, jobEnded: removeIfSettled(attempt.job))
    }

    /// Takes an attempt off the books.
    private mutating func end(_ id: AttemptID) -> Attempt? {
        guard let attempt = attempts.remove(id) else { return nil }
        running -= attempt.pieces.count - attempt.answered
        if jobs.contains(attempt.job) { jobs[attempt.job]?.attempts -= 1 }
        return attempt
    }

    private mutating func giveBack(_ pieces: Range<Int>, of id: JobID, attempts: Int) {
        guard !pieces.isEmpty, jobs.contains(id) else { return }
        jobs[id]?.returned.append((pieces, attempts))
        waiting += pieces.count
        enqueue(id)
    }

    private mutating func learn(_ id: JobID, _ nanoseconds: Int64, _ pieces: Int) {
        let time = Double(max(nanoseconds, 1)) / Double(max(pieces, 1))
        // The last attempt counts as much as all before: loads drift.
        let known = jobs[id]?.pieceTime
        jobs[id]?.pieceTime = known.map { ($0 + time) / 2 } ?? time
    }

    private mutating func removeIfSettled(_ id: JobID) -> Bool {
        guard let job = jobs[id], job.isComplete, job.settled == job.available, job.attempts == 0 else { return false }
        jobs.remove(id)
        return true
    }

    /// Hands out pieces of this job one by one from now on.
    mutating func handOutSingly(_ id: JobID) {
        if jobs.contains(id) { jobs[id]?.handsOutSingly = true }
    }

    // MARK: - Giving up

    /// Ends a job, whatever of it is under way.
    ///
    /// - Returns: Its attempts under way, whose outcomes are stale from now on; nil when it had ended before.
    mutating func end(job id: JobID) -> [AttemptID]? {
        guard let job = jobs.remove(id) else { return nil }
        waiting -= job.waiting
        return job.attempts == 0 ? [] : attempts.keys.filter { attempts[$0]?.job == id }
    }
}
