// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingChannels
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

extension LocalSession {
    /// How many workers there are that are not on their way out.
    private var living: Int { workers.count { $0.phase == .starting || $0.phase == .ready } }

    /// When the next worker may be started.
    private var nextStart: Deadline { max(failures.next, pauseAfterKill, pauseAfterLoss) }

    var needsMaintenance: Bool {
        !isClosing && !isBroken && !ExitHandling.isExiting && living != target
            && (living > target || nextStart.hasPassed)
    }

    var maintenanceDeadline: Deadline { !isClosing && !isBroken && living < target ? nextStart : .never }

    var isEmpty: Bool { workers.isEmpty }

    func scale(to count: Int) {
        target = count
    }

    // MARK: - Starting

    func maintain() {
        while let worker = host.withLock({ planStart() }) {
            do {
                try start(worker)
            } catch {
                host.withLock {
                    leave(worker, isLost: false)
                    worker.phase = .ended
                    workers.removeAll { $0 === worker }
                    idle.removeAll { $0 === worker }
                    disarm(worker)
                    workersChanged()
                    for entry in worker.outstanding.all where !entry.isRevoked { unwritten.append((entry.ticket, nil)) }
                    noteFailedStart(error, round: worker.round)
                }
            }
        }
    }

    /// Makes the place of another worker, if one is wanted; or retires one too many.
    private func planStart() -> LocalWorker? {
        while !isClosing, living > target, let worker = leastNeeded() {
            worker.isListedIdle = false
            retire(worker)
        }
        guard needsMaintenance, living < target else { return nil }
        lastNumber += 1
        do {
            let pair = try Link.pair()
            let there = SharedDescriptor(OwnedDescriptor(owning: mp_duplicate(pair.there.socket.number)))
            let socket = try pair.here.socket.duplicate()
            let name = "\(specification.name)Worker-\(lastNumber)"
            let worker = try LocalWorker(number: lastNumber, name: name, socket: socket)
            worker.theirSocket = there
            worker.restarts = vacancies.popLast() ?? 0
            worker.round = failures.round
            if let initializer = specification.initializer { try prepare(worker, initializer) }
            workers.append(worker)
            workersChanged()
            // First in the list, last to be chosen: others can begin at once.
            worker.isListedIdle = true
            idle.insert(worker, at: 0)
            return worker
        } catch {
            noteFailedStart(error, round: failures.round)
            return nil
        }
    }

    /// The worker to be retired where there are too many: one without a task, or else one that cannot be given any yet.
    private func leastNeeded() -> LocalWorker? {
        idle.popLast() ?? workers.last { $0.phase == .starting } ?? workers.last { $0.phase == .ready }
    }

    private func prepare(_ worker: LocalWorker, _ initializer: TaskFunction) throws(SystemError) {
        worker.hasInitializer = true
        let written = try worker.write(
            WorkerRecordKind.initializer,
            [],
            ticket: 0,
            length: initializer.bytes.count,
            descriptors: initializer.descriptors,
            last: 0
        ) { target in
            initializer.bytes.withUnsafeBytes { bytes in
                if let base = bytes.baseAddress { target.copyMemory(from: base, byteCount: bytes.count) }
            }
        }
        worker.keepDefinition(written?.segment)
        worker.tasks.publish()
    }

    private func start(_ worker: LocalWorker) throws {
        guard let theirs = worker.theirSocket else { return }
        let handle = WorkerHandle(
            memory: worker.memory.region.descriptor,
            doorbell: doorbell.region.descriptor,
            socket: theirs.number,
            reportsMemory: specification.maximumMemory != nil,
            owner: theirs
        )
        let child = ChildProcess(
            .procedure(WorkerLoop.serve, handle),
            worker.name,
            true,
            specification.startMethod
        )
        let process = try child.launch(wantsResult: false, until: .never)
        host.withLock {
            worker.theirSocket = nil
            worker.process = process
            worker.child = child
            worker.started = mp_now()
            // Without an initializer there is nothing to wait for: what is in its lane it finds.
            if specification.initializer == nil, worker.phase == .starting {
                worker.phase = .ready
                // What it was given while it was being started may have gone to others.
                listIdle(worker)
                retireIfSpent(worker)
            }
            if isClosing { isDraining ? worker.stop() : end(worker) }
        }
        // It can be given what others have read ahead; who looked before that found nobody to give it to.
        host.engineChanged()
        process.whenEnded(reentry { session in session.ended.append(worker) })
    }

    /// Notes that an initializer has ended.
    func becomeReady(
        _ worker: LocalWorker,
        _ head: WorkerRecord,
        _ envelope: ResultEnvelope,
        _ events: any EngineEvents
    ) {
        guard worker.phase == .starting else { return }
        guard envelope.threw else {
            // It was given nothing until now. Whoever has polled hands out next what waits.
            worker.phase = .ready
            noteGoodStart(worker)
            listIdle(worker)
            return retireIfSpent(worker)
        }
        var reader = WireReader(envelope.bytes)
        do {
            try Outcome.read(from: &reader, [:], processName: worker.name) { _, _ in }
        } catch {
            noteFailedStart(error, round: worker.round)
        }
        while let entry = worker.outstanding.popFirst() {
            if !entry.isRevoked { events.lost(entry.ticket, .notBegun) }
        }
        end(worker)
    }

    /// Notes that a worker has been heard of: what failed before is over.
    func noteGoodStart(_ worker: LocalWorker) {
        worker.hasAnswered = true
        failures.beginAnew()
        earlyKills = 0
    }

    /// Notes a start that failed; ever more time goes by between them, and after a few rounds in a row a pool without workers gives up.
    ///
    /// - Parameter round: The one in which it was begun.
    func noteFailedStart(_ error: any Error, round: Int) {
        guard !isClosing else { return }
        failure = error
        Log.write(.warning, "a worker of \(specification.name) could not be started: \(error)")
        // Workers that have done something before go on with the others' share.
        if failures.count(round: round), failures.isOver,
            !workers.contains(where: { $0.phase == .ready && $0.hasAnswered })
        {
            isBroken = true
        }
        host.engineChanged()
    }

    /// Notes a worker that was killed from outside before it was ready. That says nothing about its initializer, unless it goes on: one that needs more memory than there is ends in the same way each time.
    func noteKilledStart(_ error: any Error, round: Int) {
        noteEarlyKill()
        if earlyKills > Self.mostEarlyKills { noteFailedStart(error, round: round) }
    }

    /// Counts a worker that somebody has killed before it could serve. That is no reason to give up, but if it goes on, one to take more time.
    func noteEarlyKill() {
        earlyKills += 1
        guard earlyKills > Self.mostEarlyKills else { return }
        let pause = min(1000, 10 << min(earlyKills - Self.mostEarlyKills, 7))
        pauseAfterKill = Deadline(timeout: .milliseconds(pause))
    }

    // MARK: - Statistics

    var statistics: [PoolStatistics.Worker] { departed + workers.map(statistics) }

    /// What a worker has done until now.
    func statistics(of worker: LocalWorker) -> PoolStatistics.Worker {
        let now = mp_now()
        let isAtWork = worker.memory.status(.task) != 0
        let since = isAtWork ? Int64(clamping: worker.memory.status(.since)) : now
        // No longer than the machine runs, whatever a worker says whose memory was overwritten.
        let before = min(Int64(clamping: worker.memory.status(.busy)), now)
        let busy = before + max(0, now - since)
        return PoolStatistics.Worker(
            name: worker.name,
            processIdentifier: worker.process?.processIdentifier,
            tasks: Int(clamping: worker.memory.status(.finished)),
            busy: .nanoseconds(busy),
            idle: .nanoseconds(worker.started.map { max(0, now - $0 - busy) } ?? 0),
            restarts: worker.restarts,
            resident: Int(clamping: worker.memory.status(.resident)),
            isBusy: !worker.outstanding.isEmpty
        )
    }
}
