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

/// The state of a pool's jobs, as plain numbers: whose job it is, and what its pieces are, only the pool knows.
struct PoolStateMachine {
    /// So often pieces may be next in line at a worker that dies; after that they are taken for the cause. A function that cannot be decoded without a crash is never begun, and would end workers for ever.
    static var mostSuspicions: Int { 5 }

    typealias JobID = Slab<Job>.Key
    typealias AttemptID = Slab<Attempt>.Key

    /// How a job is to be treated.
    struct Rules: BitwiseCopyable {
        /// Jobs with a higher one go first; within one, in the order they came.
        var priority = 0
        /// How many more attempts a piece gets whose worker was lost.
        var retries = 0
        /// Whether a piece that threw gets them too.
        var retriesErrors = false
        /// The most pieces in an attempt; 1 where the user chose the size of a chunk.
        var mostPieces = Int.max
        /// Whether an attempt gets so many from the start, not as many as suit how long they take.
        var isExact = false
        /// Whether pieces are answered one by one.
        var isElementwise = false
    }

    /// Pieces that are not new.
    private struct Tried {
        var pieces: Range<Int>
        /// The attempts they had.
        var attempts: Int
        /// How often their worker died when they were next in line.
        var suspicions: Int
    }

    /// A job.
    struct Job: BitwiseCopyable {
        let rules: Rules
        /// How many pieces have come.
        fileprivate(set) var available = 0
        /// The first that was never handed out.
        fileprivate(set) var next = 0
        /// How many were handed out and given back; which, is in `returned` of the machine.
        fileprivate(set) var returned = 0
        /// How many pieces have their outcome.
        fileprivate(set) var settled = 0
        /// Whether no more pieces come.
        fileprivate(set) var isComplete = false
        /// Nanoseconds a piece takes, as far as is known; 0: nothing is.
        fileprivate(set) var pieceTime = 0.0
        /// How many attempts are under way.
        fileprivate(set) var attempts = 0
        fileprivate(set) var isQueued = false
        fileprivate(set) var handsOutSingly = false

        /// How many pieces wait to be handed out.
        var waiting: Int { available - next + returned }
    }

    /// Some pieces in the hands of the engine.
    struct Attempt: BitwiseCopyable {
        let job: JobID
        private let first: Int
        private let end: Int
        /// How often these pieces were tried before.
        let number: Int
        /// How often their worker died when they were next in line.
        let suspicions: Int
        /// How many of them were answered one by one.
        fileprivate(set) var answered = 0

        fileprivate init(job: JobID, pieces: Range<Int>, number: Int, suspicions: Int) {
            self.job = job
            first = pieces.lowerBound
            end = pieces.upperBound
            self.number = number
            self.suspicions = suspicions
        }

        var pieces: Range<Int> { first..<end }

        /// Those that were not.
        var rest: Range<Int> { pieces.lowerBound + answered..<pieces.upperBound }
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
    /// Pieces that were given back, of jobs that have such. Those that came back last go out first.
    private var returned: [JobID: [Tried]] = [:]
    /// Jobs with waiting pieces, by priority, highest first.
    private var queues: [(priority: Int, jobs: FIFO<JobID>)] = []

    /// Pieces that wait to be handed out.
    private(set) var waiting = 0
    /// Pieces in attempts.
    private(set) var running = 0

    /// Whether there is something to wait for: pieces, or attempts of which all pieces were answered and whose end was not heard of.
    var isBusy: Bool { waiting > 0 || attempts.count > 0 }

    // MARK: - Submitting

    /// Adds a job without pieces.
    mutating func add(_ rules: Rules) -> JobID {
        jobs.insert(Job(rules: rules))
    }

    /// Adds pieces to a job. Does nothing when it has ended.
    ///
    /// - Parameter isLast: Whether no more come.
    /// - Returns: Whether the job has ended by that: it was complete already but for being told so.
    mutating func addPieces(_ count: Int, to id: JobID, isLast: Bool) -> Bool {
        guard jobs.contains(id) else { return false }
        jobs[existing: id].available += count
        waiting += count
        if isLast { jobs[existing: id].isComplete = true }
        enqueue(id)
        return removeIfSettled(id)
    }

    /// Puts a job with waiting pieces into the queue of its priority: behind all others, or in front if it had its turn before.
    private mutating func enqueue(_ id: JobID, inFront: Bool = false) {
        guard let job = jobs[id], !job.isQueued, job.waiting > 0 else { return }
        jobs[existing: id].isQueued = true
        let priority = job.rules.priority
        if let index = queues.firstIndex(where: { $0.priority <= priority }) {
            if queues[index].priority != priority { queues.insert((priority, FIFO()), at: index) }
            if inFront { queues[index].jobs.prepend(id) } else { queues[index].jobs.append(id) }
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
                if jobs.contains(id) { jobs[existing: id].isQueued = false }
                continue
            }
            if jobs[existing: id].waiting == 0 {
                queues[0].jobs.popFirst()
                jobs[existing: id].isQueued = false
            }
            let attempt = attempts.insert(
                Attempt(job: id, pieces: taken.pieces, number: taken.attempts, suspicions: taken.suspicions)
            )
            jobs[existing: id].attempts += 1
            waiting -= taken.pieces.count
            running += taken.pieces.count
            return Assignment(attempt: attempt, job: id, pieces: taken.pieces, number: taken.attempts)
        }
        return nil
    }

    private mutating func take(from id: JobID, _ parallelism: Int) -> Tried? {
        let job = jobs[existing: id]
        let most = attemptSize(job, parallelism)
        if job.returned > 0 { return takeReturned(from: id, most) }
        guard job.next < job.available else { return nil }
        let end = job.next + min(most, job.available - job.next)
        jobs[existing: id].next = end
        return Tried(pieces: job.next..<end, attempts: 0, suspicions: 0)
    }

    private mutating func takeReturned(from id: JobID, _ most: Int) -> Tried? {
        guard var all = returned[id], var last = all.popLast() else { return nil }
        let middle = last.pieces.lowerBound + min(most, last.pieces.count)
        if middle < last.pieces.upperBound {
            var rest = last
            rest.pieces = middle..<last.pieces.upperBound
            all.append(rest)
        }
        last.pieces = last.pieces.lowerBound..<middle
        returned[id] = all.isEmpty ? nil : all
        jobs[existing: id].returned -= last.pieces.count
        return last
    }

    /// How many pieces to hand out together: for the desired time, but never so many that others would stand idle at the end (guided self-scheduling, Polychronopoulos and Kuck 1987).
    private func attemptSize(_ job: Job, _ parallelism: Int) -> Int {
        guard job.rules.mostPieces > 1, !job.handsOutSingly else { return 1 }
        if job.rules.isExact { return job.rules.mostPieces }
        guard job.pieceTime > 0 else { return 1 }
        let byTime = max(1, Int(min(Self.desiredTime / max(job.pieceTime, 1), 1e9)))
        let byShare = max(1, job.waiting / (2 * max(parallelism, 1)))
        // What the first few pieces took says little of the others: no worker gets more at once than it has done so far.
        let byExperience = max(1, job.settled / max(parallelism, 1))
        return min(byTime, byShare, byExperience, job.rules.mostPieces)
    }

    // MARK: - Outcomes

    /// What an outcome means for those who wait.
    enum Resolution {
        /// Nobody waits for it any more.
        case stale
        /// These pieces of the job have their outcome.
        case deliver(JobID, Range<Int>, jobEnded: Bool)
        /// They are tried again.
        case retried
    }

    /// The next piece of an attempt was answered by itself: returned, or thrown if `threw`.
    mutating func answered(_ id: AttemptID, threw: Bool) -> Resolution {
        guard let attempt = attempts[id], attempt.answered < attempt.pieces.count, jobs.contains(attempt.job),
            jobs[existing: attempt.job].rules.isElementwise
        else { return .stale }
        let piece = attempt.pieces.lowerBound + attempt.answered
        attempts[existing: id].answered += 1
        running -= 1
        if threw, mayRetryError(attempt) {
            giveBack(piece..<piece + 1, of: attempt, attempts: attempt.number + 1)
            return .retried
        }
        jobs[existing: attempt.job].settled += 1
        // The attempt itself is still to be heard of, so the job has not ended.
        return .deliver(attempt.job, piece..<piece + 1, jobEnded: false)
    }

    /// An attempt has finished: returned, or thrown if `threw`.
    mutating func finished(_ id: AttemptID, threw: Bool, nanoseconds: Int64) -> Resolution {
        guard let attempt = end(id), jobs.contains(attempt.job) else { return .stale }
        if !threw { learn(attempt.job, nanoseconds, attempt.pieces.count) }
        if threw, !attempt.rest.isEmpty, mayRetryError(attempt) {
            giveBack(attempt.rest, of: attempt, attempts: attempt.number + 1)
            return .retried
        }
        return settle(attempt.rest, of: attempt)
    }

    private func mayRetryError(_ attempt: Attempt) -> Bool {
        let rules = jobs[existing: attempt.job].rules
        return rules.retriesErrors && attempt.number < rules.retries
    }

    /// How an attempt was lost, as far as it matters here.
    enum Guilt {
        /// Nothing of it was begun: it waits again.
        case none
        /// Its worker died with it next in line: it waits again, some times.
        case suspected
        /// Its worker was at it.
        case begun
    }

    /// An attempt was lost.
    mutating func lost(_ id: AttemptID, _ guilt: Guilt) -> Resolution {
        guard let attempt = end(id), jobs.contains(attempt.job) else { return .stale }
        let rules = jobs[existing: attempt.job].rules
        let rest = attempt.rest
        guard !rest.isEmpty else { return settle(rest, of: attempt) }
        // One by one, it is known which piece was at work; the ones behind it have no part in it.
        let guilty = rules.isElementwise ? rest.prefix(1) : rest
        switch guilt {
        case .none:
            giveBack(rest, of: attempt, attempts: attempt.number)
            return .retried
        case .suspected where attempt.suspicions < Self.mostSuspicions:
            giveBack(rest, of: attempt, attempts: attempt.number, suspicions: attempt.suspicions + 1)
            return .retried
        case .suspected, .begun:
            giveBack(guilty.upperBound..<rest.upperBound, of: attempt, attempts: attempt.number)
            guard attempt.number < rules.retries else { return settle(guilty, of: attempt) }
            giveBack(guilty, of: attempt, attempts: attempt.number + 1)
            return .retried
        }
    }

    private mutating func settle(_ pieces: Range<Int>, of attempt: Attempt) -> Resolution {
        jobs[existing: attempt.job].settled += pieces.count
        return .deliver(attempt.job, pieces, jobEnded: removeIfSettled(attempt.job))
    }

    /// Takes an attempt off the books.
    private mutating func end(_ id: AttemptID) -> Attempt? {
        guard let attempt = attempts.remove(id) else { return nil }
        running -= attempt.rest.count
        if jobs.contains(attempt.job) { jobs[existing: attempt.job].attempts -= 1 }
        return attempt
    }

    /// Lets pieces of an attempt wait again.
    private mutating func giveBack(
        _ pieces: Range<Int>,
        of attempt: Attempt,
        attempts: Int,
        suspicions: Int? = nil
    ) {
        guard !pieces.isEmpty else { return }
        let tried = Tried(pieces: pieces, attempts: attempts, suspicions: suspicions ?? attempt.suspicions)
        returned[attempt.job, default: []].append(tried)
        jobs[existing: attempt.job].returned += pieces.count
        waiting += pieces.count
        enqueue(attempt.job, inFront: true)
    }

    private mutating func learn(_ id: JobID, _ nanoseconds: Int64, _ pieces: Int) {
        let time = Double(max(nanoseconds, 1)) / Double(max(pieces, 1))
        // The last attempt counts as much as all before: loads drift.
        let known = jobs[existing: id].pieceTime
        jobs[existing: id].pieceTime = known > 0 ? (known + time) / 2 : time
    }

    private mutating func removeIfSettled(_ id: JobID) -> Bool {
        let job = jobs[existing: id]
        guard job.isComplete, job.settled == job.available, job.attempts == 0 else { return false }
        jobs.remove(id)
        return true
    }

    /// Hands out pieces of this job one by one from now on.
    mutating func handOutSingly(_ id: JobID) {
        if jobs.contains(id) { jobs[existing: id].handsOutSingly = true }
    }

    // MARK: - Giving up

    /// Ends a job, whatever of it is under way.
    ///
    /// - Returns: Its attempts under way, whose outcomes are stale from now on; nil when it had ended before.
    mutating func end(job id: JobID) -> [AttemptID]? {
        guard let job = jobs.remove(id) else { return nil }
        waiting -= job.waiting
        if job.returned > 0 { returned[id] = nil }
        return job.attempts == 0 ? [] : attempts.keys.filter { attempts[$0]?.job == id }
    }
}
