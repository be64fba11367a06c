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
            // What this process is short of it may have again when the next task comes.
            if (error as? SystemError)?.isShortage ?? false { sayUnknown(number) }
        }
        lastFunction = nil
    }

    /// Forgets a function.
    func forget(_ head: WorkerRecord) {
        functions[UInt32(truncatingIfNeeded: head.ticket)] = nil
        lastFunction = nil
    }

    /// The function of a task. As a rule it is that of the last one, which is found without a look at the table.
    @inline(__always)
    private func function(_ number: UInt32) -> WorkerFunction {
        if let lastFunction, lastNumber == number { return lastFunction }
        guard let function = functions[number] else {
            fatalError("a pool sent this worker a task without its function")
        }
        (lastNumber, lastFunction) = (number, function)
        return function
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
                wait(ticket: 0) {
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
        // No task is done where the initializer was not: what the pool has given goes to another.
        hasFailed = error != nil
        answer(WorkerRecordKind.ready, ticket: 0, error == nil ? [] : [.failed], index: 0, last: 0)
        clock = mp_now()
    }

    // MARK: - Tasks

    /// Carries out a task, unless it was revoked.
    func perform(_ head: WorkerRecord) {
        guard head.take() else { return skip(head) }
        if head.flags.contains(.elementwise) { memory.setStatus(.element, 0) }
        memory.setStatus(.since, UInt64(bitPattern: head.flags.contains(.timed) ? mp_now() : clock))
        memory.setStatus(.task, head.ticket)
        writer.removeAll(keepingCapacity: writer.capacity <= 1 << 20)
        let function = function(head.function)
        if head.isPlain, !function.isAsync { return performPlain(head, function) }
        let task: WorkerTask
        do {
            task = WorkerTask(head, function, try takePayload(head))
        } catch {
            return finish(head.ticket, index: 0, error)
        }
        if function.isAsync {
            leaveMainThread { [self] in
                wait(ticket: task.ticket) { await self.runAsync(task) }
                finish(task)
            }
        } else {
            run(task)
            finish(task)
        }
    }

    /// Carries out a task whose pieces lie in the lane with nothing beside them and are answered together, by a synchronous function.
    private func performPlain(_ head: WorkerRecord, _ function: WorkerFunction) {
        var reader = WireReader(UnsafeRawBufferPointer(start: head.payload, count: head.length))
        let pieces = head.pieces
        var index = 0
        do {
            while index < pieces {
                try call(function, &reader, withoutDescriptors)
                index += 1
            }
            finish(head.ticket, index: index, nil)
        } catch {
            finish(head.ticket, index: index, error)
        }
    }

    /// Calls a synchronous function for the piece that comes next.
    @inline(__always)
    private func call(
        _ function: WorkerFunction,
        _ reader: inout WireReader,
        _ userInfo: [CodingUserInfoKey: Any]
    ) throws {
        switch function {
        case .call(let function):
            try function.call(argumentsFrom: &reader, userInfo, resultTo: &writer, resultInfo)
        case .mapping(let mapping):
            if case .sync(let body) = mapping.body { try body(&reader, userInfo, &writer, resultInfo, nil) }
        case .failed(let error): throw error
        }
    }

    /// Calls a synchronous function for each piece.
    private func run(_ task: WorkerTask) {
        while task.index < task.pieces {
            guard begin(task) else { return }
            do {
                try call(task.function, &task.reader, task.payload.userInfo)
            } catch {
                task.error = error
            }
            guard end(task) else { return }
        }
    }

    /// Awaits an asynchronous function for each piece.
    private func runAsync(_ task: WorkerTask) async {
        while task.index < task.pieces {
            guard begin(task) else { return }
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

    /// Notes which piece is at work, and since when; false when no further one is to be begun.
    private func begin(_ task: WorkerTask) -> Bool {
        guard task.isElementwise else { return true }
        task.openPiece()
        guard task.index > 0 else { return true }
        // First: whoever sees the piece sees its begin as well.
        if task.isTimed { memory.setStatus(.since, UInt64(bitPattern: mp_now())) }
        memory.setStatus(.element, UInt64(task.index))
        return !task.isTimed || !memory.isAskedToHalt(task.ticket)
    }

    /// Deals with the outcome of a piece; false when no further one is to be begun.
    private func end(_ task: WorkerTask) -> Bool {
        guard task.isElementwise else {
            if task.error != nil { return false }
            task.index += 1
            return true
        }
        // The pool knows what became of a piece that it wanted cancelled, and gives those behind it to others.
        if memory.isAskedToCancel(task.ticket) { return false }
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
