// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import MultiprocessingPrimitives

/// Reads the input of a lazy map: encodes items and adds them to the job.
///
/// `@unchecked Sendable` is safe because one thread or task uses it at a time: the consumer who has set `isFeeding`, or the task that reads the input.
final class StreamFeeder<T>: @unchecked Sendable {
    /// The most bytes that are encoded before the workers get the first of them.
    private static var blockSize: Int { 1 << 20 }
    /// After so many nanoseconds the workers get what there is, however little.
    private static var blockTime: Int64 { 200_000 }
    /// After so many nanoseconds a consumer goes on with what is ready for it.
    private static var feedTime: Int64 { 1_000_000 }

    let core: PoolCore
    let job: PoolJob
    let state: StreamState
    private let encode: @Sendable (T, TaskInput.Block) throws -> Void

    init(
        _ core: PoolCore,
        _ job: PoolJob,
        _ state: StreamState,
        _ encode: @escaping @Sendable (T, TaskInput.Block) throws -> Void
    ) {
        self.core = core
        self.job = job
        self.state = state
        self.encode = encode
    }

    /// Adds up to `most` items.
    func add(_ most: Int, from next: () -> T?) {
        let start = mp_now()
        var rest = most
        var goesOn = true
        while goesOn, rest > 0 {
            (goesOn, rest) = addBlock(rest, from: next)
            if goesOn, mp_now() - start > Self.feedTime, core.withLock({ state.hasNews(job) }) { break }
        }
    }

    /// Adds a block of items; returns whether there may be more, and how many of `most` are left.
    private func addBlock(_ most: Int, from next: () -> T?) -> (goesOn: Bool, rest: Int) {
        let start = mp_now()
        let block = TaskInput.Block()
        var errors: [(index: Int, error: any Error)] = []
        var count = 0
        var isLast = false
        while count < most, block.writer.count < Self.blockSize, !block.carriesDescriptors {
            guard let item = next() else {
                isLast = true
                break
            }
            do {
                try encode(item, block)
            } catch {
                errors.append((count, error))
            }
            count += 1
            if mp_now() - start > Self.blockTime { break }
        }
        return (append(block, errors, count, isLast: isLast) && !isLast, most - count)
    }

    /// Adds what was read; false when nobody wants more.
    private func append(
        _ block: TaskInput.Block,
        _ errors: [(index: Int, error: any Error)],
        _ count: Int,
        isLast: Bool
    ) -> Bool {
        if count > 0 || isLast {
            core.withLock {
                state.read(errors, count: count, bytes: block.writer.count)
                if isLast { state.isInputDone = true }
                if !errors.isEmpty { core.tell(job) }
            }
        }
        guard block.count > 0 || isLast else { return true }
        return core.append(
            block.count > 0 ? block : nil,
            to: job,
            isLast: isLast,
            singly: block.carriesDescriptors
        )
    }

    // MARK: - Asynchronous input

    /// Reads the input in a task of its own, as far ahead as is allowed.
    ///
    /// - Parameter next: Returns the next item; used by the task alone.
    func read(_ next: SendableBox<() async throws -> T?>) -> Task<Void, Never> {
        Task {
            do {
                while try await waitForRoom() {
                    guard let item = try await next.value() else { break }
                    var rest: T? = item
                    guard addBlock(1, from: { rest.take() }).goesOn else { return }
                    core.leaveToThreadSoon()
                }
                end(nil)
            } catch {
                end(error)
            }
        }
    }

    /// Notes the end of the input.
    private func end(_ error: (any Error)?) {
        core.withLock {
            state.failure = error
            state.isInputDone = true
        }
        _ = core.append(nil, to: job, isLast: true)
        core.leaveToThreadSoon()
    }

    /// Suspends until another item may be read; false when nobody wants any.
    private func waitForRoom() async throws -> Bool {
        while true {
            let notice: Notice? = core.withLock {
                if job.isEnded || state.ahead.room > 0 { return nil }
                let notice = state.room ?? Notice()
                state.room = notice
                return notice
            }
            guard let notice else { return !job.isEnded }
            _ = try await notice.wait(until: .never, on: Runtime.shared().reactor)
        }
    }
}
