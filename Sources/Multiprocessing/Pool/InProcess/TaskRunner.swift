// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// Carries out attempts on the current thread, with encoded arguments or with values as they are. One thread at a time uses it.
final class TaskRunner {
    /// More functions than that are forgotten together.
    private static let mostFunctions = 128

    private var functions: [UInt32: WorkerFunction] = [:]

    /// Calls an initializer.
    ///
    /// - Throws: what it throws, and what decoding it throws.
    func initialize(_ initializer: TaskFunction) throws {
        let task = LocalTask(
            TaskEnvelope(
                ticket: 0,
                function: initializer,
                input: .pieces(TaskInput()),
                pieces: 0..<0,
                attempt: 0,
                isElementwise: false,
                timeout: nil
            )
        )
        if let direct = initializer.direct {
            _ = try call(direct, [()], task)
            return
        }
        // Not kept: initializers are numbered by themselves.
        guard case .call(let function) = try decode(initializer) else { return }
        var reader = WireReader(UnsafeRawBufferPointer(start: nil, count: 0))
        switch try function.bind(argumentsFrom: &reader, userInfo: [:]) {
        case .sync(let body): _ = try body()
        case .async(let body): try wait(task) { _ = try await body() }
        }
    }

    /// Carries out an attempt, and returns what came of it.
    ///
    /// - Parameter answer: Called with the outcome of each piece of an attempt that is answered piece by piece, and before a piece is begun with nil; returns whether to go on.
    func run(_ task: LocalTask, _ answer: (Int, LocalAnswer?) -> Bool) -> LocalAnswer {
        guard task.isElementwise else {
            guard answer(0, nil) else { return LocalAnswer(.values([])) }
            if let direct = task.function.direct { return run(direct, task.values, task) }
            return run(function(task.function), pieces: task.pieces, task, task.takeDescriptors(), isPrefixed: false)
        }
        let carried = task.takeDescriptors()
        var rest = 0
        for piece in 0..<task.pieces {
            guard answer(piece, nil) else { break }
            let outcome: LocalAnswer
            if let direct = task.function.direct {
                outcome = run(direct, [task.values[piece]], task)
            } else {
                outcome = run(function(task.function), pieces: 1, task, carried, isPrefixed: true, &rest)
            }
            guard answer(piece, outcome) else { break }
        }
        return task.function.direct != nil ? LocalAnswer(.values([])) : LocalAnswer(WireWriter(), [], threw: false)
    }

    // MARK: - Values as they are

    private func run(_ function: DirectFunction, _ values: [any Sendable], _ task: LocalTask) -> LocalAnswer {
        do {
            return LocalAnswer(.values(try call(function, values, task)))
        } catch {
            return LocalAnswer(.failed(error))
        }
    }

    private func call(
        _ function: DirectFunction,
        _ values: [any Sendable],
        _ task: LocalTask
    ) throws -> [any Sendable] {
        switch function {
        case .sync(let body): return try values.map(body)
        case .async(let body):
            return try wait(task) {
                var results: [any Sendable] = []
                for value in values { results.append(try await body(value)) }
                return results
            }
        }
    }

    /// Blocks this thread until `body` has ended in a Swift task.
    private func wait<R: Sendable>(_ task: LocalTask, _ body: @escaping @Sendable () async throws -> R) throws -> R {
        let outcome = OutcomeBox<R>()
        let done = Notice()
        task.adopt(
            Task.detached {
                do {
                    outcome.result = .success(try await body())
                } catch {
                    outcome.result = .failure(error)
                }
                done.post()
            }
        )
        _ = done.wait(until: .never)
        guard let result = outcome.result else { throw PoolError(.engine, "a task has ended without an outcome") }
        return try result.get()
    }

    /// Hands a result from a Swift task to the thread that waits for it.
    ///
    /// `@unchecked Sendable` is safe because it is written before the notice that the reader waits for.
    private final class OutcomeBox<R: Sendable>: @unchecked Sendable {
        var result: Result<R, any Error>?
    }

    // MARK: - Encoded values

    private func function(_ function: TaskFunction) -> WorkerFunction {
        if let known = functions[function.number] { return known }
        let made: WorkerFunction
        do {
            made = try decode(function)
        } catch {
            // Not kept: what this process is short of it may have again when the next task comes.
            return .failed(error)
        }
        if functions.count >= Self.mostFunctions { functions = [:] }
        functions[function.number] = made
        return made
    }

    private func decode(_ function: TaskFunction) throws -> WorkerFunction {
        let userInfo: [CodingUserInfoKey: Any] = [CarriedDescriptors.userInfoKey: try Self.descriptors(of: function)]
        return try function.bytes.withUnsafeBytes { bytes in
            var reader = WireReader(bytes)
            return function.isMapping
                ? .mapping(try ReceivedMapping(from: &reader, userInfo: userInfo))
                : .call(try ReceivedFunction(from: &reader, userInfo: userInfo))
        }
    }

    /// Duplicates of a function's descriptors, for the one who decodes it.
    private static func descriptors(of function: TaskFunction) throws(SystemError) -> CarriedDescriptors {
        let operation = "duplicating a descriptor that a function captures"
        return CarriedDescriptors(received: try CarriedDescriptors.duplicates(of: function.descriptors, operation))
    }

    private func run(
        _ function: WorkerFunction,
        pieces: Int,
        _ task: LocalTask,
        _ carried: Result<CarriedDescriptors, SystemError>,
        isPrefixed: Bool
    ) -> LocalAnswer {
        var start = 0
        return run(function, pieces: pieces, task, carried, isPrefixed: isPrefixed, &start)
    }

    /// Calls a function for pieces that begin at `start`, and moves that behind them.
    private func run(
        _ function: WorkerFunction,
        pieces: Int,
        _ task: LocalTask,
        _ carried: Result<CarriedDescriptors, SystemError>,
        isPrefixed: Bool,
        _ start: inout Int
    ) -> LocalAnswer {
        var writer = WireWriter()
        let sent = CarriedDescriptors()
        do {
            let userInfo: [CodingUserInfoKey: Any] = [CarriedDescriptors.userInfoKey: try carried.get()]
            try task.bytes.withUnsafeBytes { bytes in
                var reader = WireReader(UnsafeRawBufferPointer(rebasing: bytes[start...]))
                if isPrefixed {
                    let length = Int(clamping: try reader.read(UInt64.self))
                    reader = WireReader(try reader.readBytes(length))
                    start += 8 + length
                }
                for _ in 0..<pieces {
                    try call(function, &reader, userInfo, task, &writer, [CarriedDescriptors.userInfoKey: sent])
                }
            }
            // The owners of what is sent may go before the result is read.
            let operation = "duplicating a descriptor of a result"
            return LocalAnswer(writer, try CarriedDescriptors.duplicates(of: sent.numbers, operation), threw: false)
        } catch {
            writer.removeAll()
            Outcome.write(error: error, into: &writer)
            return LocalAnswer(writer, [], threw: true)
        }
    }

    private func call(
        _ function: WorkerFunction,
        _ reader: inout WireReader,
        _ userInfo: [CodingUserInfoKey: Any],
        _ task: LocalTask,
        _ writer: inout WireWriter,
        _ resultInfo: [CodingUserInfoKey: Any]
    ) throws {
        switch function {
        case .call(let function):
            switch try function.bind(argumentsFrom: &reader, userInfo: userInfo) {
            case .sync(let body): try body()?(&writer, resultInfo)
            case .async(let body): try wait(task) { try await body() }?(&writer, resultInfo)
            }
        case .mapping(let mapping):
            switch mapping.body {
            case .sync(let body): try body(&reader, userInfo, &writer, resultInfo, nil)
            case .async(let prepare):
                let body = try prepare(&reader, userInfo, nil)
                try wait(task) { try await body() }(&writer, resultInfo)
            }
        case .failed(let error): throw error
        }
    }

    /// Whether a function has to be awaited.
    func isAsync(_ function: TaskFunction) -> Bool {
        if let direct = function.direct {
            if case .async = direct { return true }
            return false
        }
        return self.function(function).isAsync
    }
}
