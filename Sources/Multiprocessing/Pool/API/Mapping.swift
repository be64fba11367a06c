// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// A call of `map` and its relatives before it is submitted.
struct Mapping<T: Codable & Sendable, R: Codable & Sendable> {
    /// The most bytes that are encoded before the workers get the first of them.
    private static var blockSize: Int { 1 << 20 }

    let core: PoolCore
    let job: PoolJob
    /// Kept by the result.
    let pool: Pool
    /// How many items are in a piece; nil: it follows from how many there are.
    let pieceSize: Int?

    init(
        _ pool: Pool,
        _ chunkSize: Int?,
        _ options: TaskOptions,
        _ function: PortableFunction,
        context: ((inout WireWriter, [CodingUserInfoKey: Any]) throws -> Void)? = nil,
        isElementwise: Bool = false
    ) throws {
        if let chunkSize, chunkSize < 1 {
            throw PoolError(.invalidArgument, "chunkSize is \(chunkSize), and must be at least 1")
        }
        try options.check()
        self.pool = pool
        core = pool.core
        try core.checkProcess()
        let singly = isElementwise || options.timeout != nil
        pieceSize = singly ? 1 : chunkSize
        job = PoolJob(
            try core.functions.function(function, isMapping: true, context: context),
            options,
            failsFast: !isElementwise,
            isElementwise: singly,
            mostPieces: singly ? chunkSize ?? .max : chunkSize == nil ? .max : 1
        )
    }

    init<C: Codable & Sendable>(
        _ pool: Pool,
        _ chunkSize: Int?,
        _ options: TaskOptions,
        _ function: PortableFunction,
        with context: C,
        isElementwise: Bool = false
    ) throws {
        try self.init(
            pool,
            chunkSize,
            options,
            function,
            context: { writer, userInfo in try WireCoding.encode(context, into: &writer, userInfo: userInfo) },
            isElementwise: isElementwise
        )
    }

    /// Submits the items.
    func run(_ items: some Collection<T>, _ callbacks: Callbacks<[R]> = Callbacks()) throws -> AsyncResult<[R]> {
        let size = pieceSize ?? Self.pieceSize(for: items.count, workers: core.withLock { core.session.parallelism })
        let (job, count) = (job, items.count)
        let result = AsyncResult(core, job, keeping: pool) { job in
            try Self.results(of: job, count: count, pieceSize: size)
        }
        result.call(callbacks)
        try submit(items, size)
        return result
    }

    /// Large pieces cost little each, small ones can be shared out evenly.
    private static func pieceSize(for count: Int, workers: Int) -> Int {
        max(1, min(1024, count / (workers * 64)))
    }

    private func submit(_ items: some Collection<T>, _ size: Int) throws {
        try core.submit(job, isComplete: items.isEmpty)
        do {
            var index = items.startIndex
            while index != items.endIndex {
                let block = TaskInput.Block()
                while index != items.endIndex, block.writer.count < Self.blockSize, block.descriptors.isEmpty {
                    let end = items.index(index, offsetBy: size, limitedBy: items.endIndex) ?? items.endIndex
                    let piece = Array(items[index..<end])
                    try block.append(isPrefixed: job.rules.isElementwise) { writer, userInfo in
                        try WireCoding.encode(piece, into: &writer, userInfo: userInfo)
                    }
                    index = end
                }
                let carries = !block.descriptors.isEmpty
                try core.capabilities.check(block.descriptors)
                guard core.append(block, to: job, isLast: index == items.endIndex, singly: carries) else { return }
            }
        } catch {
            core.withLock {
                job.fail(error)
                core.give(up: job, kill: false)
            }
            throw error
        }
    }

    /// Puts the answers together in the order of the items.
    private static func results(of job: PoolJob, count: Int, pieceSize: Int) throws -> [R] {
        var results: [R] = []
        results.reserveCapacity(count)
        for answer in job.answers.sorted(by: { $0.pieces.lowerBound < $1.pieces.lowerBound }) {
            try job.read(answer) { reader, userInfo in
                for _ in answer.pieces {
                    results += try WireCoding.decode([R].self, from: &reader, userInfo: userInfo)
                }
            }
        }
        guard results.count == count else {
            throw PoolError(.engine, "\(count) items were submitted, and \(results.count) results have come")
        }
        return results
    }
}
