// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import MultiprocessingChannels
internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

extension WorkerLoop {
    // MARK: - Functions

    /// Keeps a function for later tasks.
    func define(_ head: WorkerRecord) {
        let number = UInt32(truncatingIfNeeded: head.ticket)
        do {
            let payload = try takePayload(head)
            var reader = WireReader(payload.bytes)
            functions[number] =
                head.flags.contains(.mapping)
                ? .mapping(try ReceivedMapping(from: &reader, userInfo: payload.userInfo))
                : .call(try ReceivedFunction(from: &reader, userInfo: payload.userInfo))
        } catch {
            functions[number] = .failed(error)
        }
    }

    /// Calls the pool's initializer, and says how that went.
    func initialize(_ head: WorkerRecord) {
        let call: BoundCall
        do {
            let payload = try takePayload(head)
            var reader = WireReader(payload.bytes)
            call = try ReceivedFunction(from: &reader, userInfo: payload.userInfo)
                .bind(argumentsFrom: &reader, userInfo: payload.userInfo)
        } catch {
            return answerInitializer(error)
        }
        switch call {
        case .sync(let body):
            do {
                _ = try body()
                answerInitializer(nil)
            } catch {
                answerInitializer(error)
            }
        case .async(let body):
            leaveMainThread { [self] in
                wait {
                    do {
                        _ = try await body()
                        self.answerInitializer(nil)
                    } catch {
                        self.answerInitializer(error)
                    }
                }
            }
        }
    }

    private func answerInitializer(_ error: (any Error)?) {
        writer.removeAll()
        if let error { Outcome.write(error: error, into: &writer) }
        answer(WorkerRecordKind.ready, ticket: 0, error == nil ? [] : [.failed], index: 0, last: 0)
        clock = mp_now()
    }

    // MARK: - Tasks

    /// Carries out a task, unless it was revoked.
    func perform(_ head: WorkerRecord) {
        guard head.take() else { return skip(head) }
        if head.flags.contains(.elementwise) { memory.setStatus(.element, 0) }
        if head.flags.contains(.timed) { memory.setStatus(.since, UInt64(bitPattern: clock)) }
        memory.setStatus(.task, head.ticket)
        writer.removeAll(keepingCapacity: writer.capacity <= 1 << 20)
        guard let function = functions[head.function] else {
            preconditionFailure("a pool sent this worker a task without its function")
        }
        let task: WorkerTask
        do {
            task = WorkerTask(head, function, try takePayload(head))
        } catch {
            return finish(head.ticket, index: 0, error)
        }
        if function.isAsync {
            leaveMainThread { [self] in
                wait { await self.runAsync(task) }
                finish(task)
            }
        } else {
            run(task)
            finish(task)
        }
    }

    /// Calls a synchronous function for each piece.
    private func run(_ task: WorkerTask) {
        while task.index < task.pieces {
            begin(task)
            do {
                switch task.function {
                case .call(let function):
                    let call = try function.bind(argumentsFrom: &task.reader, userInfo: task.payload.userInfo)
                    if case .sync(let body) = call { try body()?(&writer, resultInfo) }
                case .mapping(let mapping):
                    if case .sync(let body) = mapping.body {
                        try body(&task.reader, task.payload.userInfo, &writer, resultInfo, nil)
                    }
                case .failed(let error): throw error
                }
            } catch {
                task.error = error
            }
            guard end(task) else { return }
        }
    }

    /// Awaits an asynchronous function for each piece.
    private func runAsync(_ task: WorkerTask) async {
        while task.index < task.pieces {
            begin(task)
            do {
                var encode: ResultEncoder?
                switch task.function {
                case .call(let function):
                    let call = try function.bind(argumentsFrom: &task.reader, userInfo: task.payload.userInfo)
                    if case .async(let body) = call { encode = try await body() }
                case .mapping(let mapping):
                    if case .async(let prepare) = mapping.body {
                        encode = try await prepare(&task.reader, task.payload.userInfo, nil)()
                    }
                case .failed(let error): throw error
                }
                try encode?(&writer, resultInfo)
            } catch {
                task.error = error
            }
            guard end(task) else { return }
        }
    }

    /// Notes which piece is at work, and since when.
    private func begin(_ task: WorkerTask) {
        guard task.isElementwise else { return }
        task.openPiece()
        guard task.index > 0 else { return }
        memory.setStatus(.element, UInt64(task.index))
        if task.isTimed { memory.setStatus(.since, UInt64(bitPattern: mp_now())) }
    }

    /// Deals with the outcome of a piece; false when no further one is to be begun.
    private func end(_ task: WorkerTask) -> Bool {
        guard task.isElementwise else {
            if task.error != nil { return false }
            task.index += 1
            return true
        }
        if let error = task.error {
            writer.removeAll()
            Outcome.write(error: error, into: &writer)
        }
        answer(
            WorkerRecordKind.element,
            ticket: task.ticket,
            task.error == nil ? [] : [.failed],
            index: task.index,
            last: 0
        )
        writer.removeAll(keepingCapacity: writer.capacity <= 1 << 20)
        task.error = nil
        task.index += 1
        return true
    }

    private func finish(_ task: WorkerTask) {
        finish(task.ticket, index: task.index, task.error)
    }

    /// Sends the last record of an attempt.
    private func finish(_ ticket: UInt64, index: Int, _ error: (any Error)?) {
        if let error {
            writer.removeAll()
            Outcome.write(error: error, into: &writer)
        }
        let now = mp_now()
        let duration = UInt64(max(0, now - clock))
        clock = now
        finished += 1
        busy += duration
        memory.setStatus(.finished, finished)
        memory.setStatus(.busy, busy)
        reportMemory(now)
        memory.setStatus(.task, 0)
        answer(
            WorkerRecordKind.result,
            ticket: ticket,
            error == nil ? [] : [.failed],
            index: index,
            last: duration
        )
    }

    /// Tells how much memory this process has: after each task where that is limited, otherwise now and then, since asking the kernel takes longer than a short task.
    private func reportMemory(_ now: Int64) {
        guard reportsMemory || now &- lastMemoryReport > 50_000_000 else { return }
        lastMemoryReport = now
        memory.setStatus(.resident, ResidentMemory.ofThisProcess)
    }
}
