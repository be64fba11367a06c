// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingChannels
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

extension LocalSession {
    /// How many workers there are that are not on their way out.
    private var living: Int { workers.count { $0.phase == .starting || $0.phase == .ready } }

    var needsMaintenance: Bool {
        !isClosing && !isBroken && living != target && (living > target || nextStart.hasPassed)
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
                    worker.phase = .ended
                    workers.removeAll { $0 === worker }
                    idle.removeAll { $0 === worker }
                    for entry in worker.outstanding.all where !entry.isRevoked { unwritten.append((entry.ticket, nil)) }
                    noteFailedStart(error)
                }
                host.engineChanged()
            }
        }
    }

    /// Makes the place of another worker, if one is wanted; or retires one too many.
    private func planStart() -> LocalWorker? {
        while !isClosing, living > target, let worker = idle.popLast() ?? workers.last(where: { $0.phase == .ready }) {
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
            if let initializer = specification.initializer { try prepare(worker, initializer) }
            workers.append(worker)
            workersChanged()
            listIdle(worker)
            return worker
        } catch {
            noteFailedStart(error)
            return nil
        }
    }

    private func prepare(_ worker: LocalWorker, _ initializer: TaskFunction) throws(SystemError) {
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
        if let segment = written?.segment { worker.definitionSegments.append(segment) }
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
            // Without an initializer there is nothing to wait for: what is in its lane it finds.
            if specification.initializer == nil, worker.phase == .starting { worker.phase = .ready }
            if isClosing { isDraining ? worker.stop() : end(worker) }
        }
        process.whenEnded { [weak self, weak worker] in
            guard let self, let worker else { return }
            self.host.withLock { self.ended.append(worker) }
            self.host.engineChanged()
        }
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
            worker.phase = .ready
            failures = 0
            return listIdle(worker)
        }
        var reader = WireReader(envelope.bytes)
        do {
            try Outcome.read(from: &reader, [:], processName: worker.name) { _, _ in }
        } catch {
            noteFailedStart(error)
        }
        while let entry = worker.outstanding.popFirst() {
            if !entry.isRevoked { events.lost(entry.ticket, .notBegun) }
        }
        end(worker)
    }

    /// Counts a start that failed; after a few in a row the pool gives up, with ever more time between them.
    func noteFailedStart(_ error: any Error) {
        guard !isClosing else { return }
        failures += 1
        failure = error
        Log.write(.warning, "a worker of \(specification.name) could not be started: \(error)")
        if failures >= Self.maximumFailures {
            isBroken = true
        } else {
            nextStart = Deadline(timeout: .milliseconds(10 << (2 * failures)))
        }
    }

    // MARK: - Ending

    func close(drain: Bool) {
        if !isClosing || (isDraining && !drain) {
            isClosing = true
            isDraining = drain
        }
        for worker in workers {
            if drain || worker.outstanding.isEmpty {
                if worker.phase == .ready || worker.phase == .starting {
                    worker.phase = .retiring
                    worker.stop()
                }
            } else {
                terminate(worker)
            }
        }
    }

    /// Asks by SIGTERM, and a second later insists.
    private func terminate(_ worker: LocalWorker) {
        if worker.phase != .ended { worker.phase = .retiring }
        guard let process = worker.process else { return }
        try? process.signal(SIGTERM)
        guard let reactor = try? Runtime.shared().reactor else { return end(worker) }
        _ = reactor.waitUntil(Deadline(timeout: .seconds(1))) { _ in
            if !process.ended.hasHappened { try? process.signal(SIGKILL) }
        }
    }

    var statistics: [PoolStatistics.Worker] {
        workers.map { worker in
            PoolStatistics.Worker(
                name: worker.name,
                processIdentifier: worker.process?.processIdentifier,
                tasks: Int(worker.memory.status(.finished)),
                busy: .nanoseconds(Int64(worker.memory.status(.busy))),
                resident: Int(worker.memory.status(.resident)),
                isBusy: !worker.outstanding.isEmpty
            )
        }
    }
}
