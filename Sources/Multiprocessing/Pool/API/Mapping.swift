// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

/// A call of `map` or a relative of it, before it is submitted.
struct Mapping<T, R: Codable & Sendable> {
    /// Writes the context of a mapped function.
    typealias Context = (inout WireWriter, [CodingUserInfoKey: Any]) throws -> Void

    let core: PoolCore
    let job: PoolJob
    /// Kept by the result.
    let pool: Pool
    let coding: PieceCoding<T, R>
    /// How many items are in a piece; nil: it follows from how many there are.
    let pieceSize: Int?

    /// Prepares a job.
    ///
    /// - Parameter isElementwise: Whether each item has an outcome of its own; otherwise the first error fails them all.
    /// - Throws: `PoolError` for a chunk size below 1; `FunctionNotPortable`, and what encoding the captures and the context throws.
    init(
        _ pool: Pool,
        _ chunkSize: Int?,
        _ options: TaskOptions,
        _ coding: PieceCoding<T, R>,
        _ function: PortableFunction,
        context: Context? = nil,
        isElementwise: Bool = false
    ) throws {
        if let chunkSize, chunkSize < 1 {
            throw PoolError(.invalidArgument, "chunkSize is \(chunkSize), and must be at least 1")
        }
        try options.check()
        self.pool = pool
        self.coding = coding
        core = pool.core
        try core.checkProcess()
        let chunkSize = chunkSize ?? core.chunkSize
        let failsFast = !isElementwise
        let isElementwise = isElementwise || options.concernsItems
        let singly = isElementwise || !coding.isMapping
        pieceSize = singly ? 1 : chunkSize
        job = PoolJob(
            try core.functions.function(function, isMapping: coding.isMapping, context: context),
            options,
            failsFast: failsFast,
            isElementwise: isElementwise,
            mostPieces: singly ? chunkSize ?? .max : chunkSize == nil ? .max : 1,
            isExact: chunkSize != nil
        )
    }

    // MARK: - The three forms of outcome

    /// Submits the items, waiting for room in the pool's queue, and returns what will be their results.
    func run(
        _ items: some Collection<T>,
        _ callbacks: Callbacks<[R]> = Callbacks(),
        progress: PoolProgress? = nil
    ) throws -> AsyncResult<[R]> {
        let size = size(for: items.count)
        measure(progress, items.count, size)
        let result = results(items.count, size)
        result.call(callbacks)
        try submit(items, size)
        return result
    }

    /// Submits the items, waiting for room in the pool's queue without blocking a thread, and returns what will be their results.
    func run(_ items: some Collection<T>, progress: PoolProgress? = nil) async throws -> AsyncResult<[R]> {
        let size = size(for: items.count)
        measure(progress, items.count, size)
        let result = results(items.count, size)
        try await submit(items, size)
        return result
    }

    /// What will be the results of items that are submitted in pieces of `size`.
    private func results(_ count: Int, _ size: Int) -> AsyncResult<[R]> {
        let (decode, bulk) = (coding.decode, coding.bulkResults)
        return AsyncResult(core, job, keeping: pool) { job in
            if let bulk, let results = Self.results(of: job, count: count, bulk) { return results }
            return try Self.results(of: job, count: count, decode)
        }
    }

    /// Submits the items, and returns what will be an outcome for each.
    func runEach(
        _ items: some Collection<T>,
        progress: PoolProgress? = nil
    ) throws -> AsyncResult<[Result<R, any Error>]> {
        measure(progress, items.count, 1)
        try submit(items, 1)
        return outcomes(items.count)
    }

    /// Submits the items without blocking a thread, and returns what will be an outcome for each.
    func runEach(
        _ items: some Collection<T>,
        progress: PoolProgress? = nil
    ) async throws -> AsyncResult<[Result<R, any Error>]> {
        measure(progress, items.count, 1)
        try await submit(items, 1)
        return outcomes(items.count)
    }

    private func outcomes(_ count: Int) -> AsyncResult<[Result<R, any Error>]> {
        let decode = coding.decode
        return AsyncResult(core, job, keeping: pool) { job in try Self.outcomes(of: job, count: count, decode) }
    }

    /// Notes what the pieces are, and has progress reported.
    private func measure(_ progress: PoolProgress?, _ count: Int, _ size: Int) {
        (job.itemCount, job.itemsPerPiece) = (count, size)
        job.meter = progress.map { ProgressMeter($0, total: count, itemsPerPiece: size) }
    }

    // MARK: - Submitting

    /// Large pieces cost little each, small ones can be shared out evenly.
    private func size(for count: Int) -> Int {
        if let pieceSize { return pieceSize }
        let workers = core.withLock { core.session.parallelism }
        return PieceSize.forItems(count, workers: workers)
    }

    private func submit(_ items: some Collection<T>, _ size: Int) throws {
        try core.submit(job, isComplete: items.isEmpty)
        var blocks = MappingBlocks(items, size, job, coding)
        // Where it has waited for room: until that is used, nobody else is called for it.
        var place: PoolCore.RoomPlace?
        defer { core.leaveRoom(place, isTask: false) }
        do {
            while let block = try blocks.next() {
                try core.capabilities.check(block.descriptors)
                guard core.append(block, to: job, isLast: blocks.isAtEnd, singly: block.carriesDescriptors) else {
                    return
                }
                core.leaveRoom(place, isTask: false)
                place = nil
                if !blocks.isAtEnd { place = core.waitForRoom(for: job) }
            }
        } catch {
            core.abandon(job, error)
            throw error
        }
    }

    private func submit(_ items: some Collection<T>, _ size: Int) async throws {
        try await core.submit(job, isComplete: items.isEmpty)
        var blocks = MappingBlocks(items, size, job, coding)
        // Where it has waited for room: until that is used, nobody else is called for it.
        var place: PoolCore.RoomPlace?
        defer { core.leaveRoom(place, isTask: true) }
        do {
            while let block = try blocks.next() {
                try core.capabilities.check(block.descriptors)
                guard core.append(block, to: job, isLast: blocks.isAtEnd, singly: block.carriesDescriptors) else {
                    return
                }
                core.leaveRoom(place, isTask: true)
                place = nil
                if !blocks.isAtEnd { place = try await core.waitForRoom(for: job) }
            }
        } catch {
            core.abandon(job, error)
            throw error
        }
    }

    // MARK: - Collecting

    /// Puts answers together that are nothing but elements as they lie in memory; nil if one is something else, or if they are too many or too few.
    private static func results(of job: PoolJob, count: Int, _ bulk: BulkArrays) -> [R]? {
        var isWhole = false
        let results = [R](unsafeUninitializedCapacity: count) { memory, initialized in
            guard let base = memory.baseAddress else {
                isWhole = count == 0 && job.answers.isEmpty
                return
            }
            // Plain bits: nothing is lost where less than all of it is initialized.
            let target = UnsafeMutableRawPointer(base)
            var filled = 0
            for answer in job.answers.inOrder(pieces: job.input.count) {
                guard let bytes = job.answers.plainBytes(answer),
                    let size = bulk.readAll(bytes, into: target + filled, room: count * bulk.stride - filled)
                else { return }
                filled += size
            }
            guard filled == count * bulk.stride else { return }
            initialized = count
            isWhole = true
        }
        return isWhole ? results : nil
    }

    /// Puts the answers together in the order of the items.
    private static func results(
        of job: PoolJob,
        count: Int,
        _ decode: (inout WireReader, [CodingUserInfoKey: Any], inout [R]) throws -> Void
    ) throws -> [R] {
        var results: [R] = []
        results.reserveCapacity(count)
        for answer in job.answers.inOrder(pieces: job.input.count) {
            try job.answers.read(answer) { reader, userInfo in
                for _ in job.answers[answer].pieces { try decode(&reader, userInfo, &results) }
            }
        }
        guard results.count == count else {
            throw PoolError(.engine, "\(count) items were submitted, and \(results.count) results have come")
        }
        return results
    }

    /// The outcome of each item, in their order.
    private static func outcomes(
        of job: PoolJob,
        count: Int,
        _ decode: (inout WireReader, [CodingUserInfoKey: Any], inout [R]) throws -> Void
    ) throws -> [Result<R, any Error>] {
        var outcomes = [Result<R, any Error>?](repeating: nil, count: count)
        for answer in 0..<job.answers.count {
            let outcome = Result { () throws -> R in
                try job.answers.read(answer) { reader, userInfo in
                    var results: [R] = []
                    try decode(&reader, userInfo, &results)
                    guard let result = results.first else { throw PoolError(.engine, "an item has no result") }
                    return result
                }
            }
            for piece in job.answers[answer].pieces where piece < count { outcomes[piece] = outcome }
        }
        return try outcomes.map { outcome in
            guard let outcome else { throw PoolError(.engine, "an item has no outcome") }
            return outcome
        }
    }
}

extension Mapping where T: Codable & Sendable {
    /// Prepares a job of a function of one item.
    init(
        _ pool: Pool,
        _ chunkSize: Int?,
        _ options: TaskOptions,
        _ function: PortableFunction,
        isElementwise: Bool = false
    ) throws {
        try self.init(pool, chunkSize, options, .arrays, function, isElementwise: isElementwise)
    }

    /// Prepares a job of a function of an item and a context that is sent once to each worker.
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
            .arrays,
            function,
            context: { writer, userInfo in try WireCoding.encode(context, into: &writer, userInfo: userInfo) },
            isElementwise: isElementwise
        )
    }
}

/// The encoded items of a map, block by block.
private struct MappingBlocks<Items: Collection, R: Codable & Sendable> {
    /// The most bytes that are encoded before the workers get the first of them.
    private static var blockSize: Int { 1 << 20 }
    /// So many bytes of elements are copied into a block before the workers get the first of them: what they take longer for than the next block takes.
    private static var bulkSize: Int { 1 << 16 }

    private let items: Items
    private let size: Int
    private let isPrefixed: Bool
    private let coding: PieceCoding<Items.Element, R>
    private var index: Items.Index

    init(_ items: Items, _ size: Int, _ job: PoolJob, _ coding: PieceCoding<Items.Element, R>) {
        self.items = items
        self.size = size
        self.coding = coding
        isPrefixed = job.rules.isElementwise
        index = items.startIndex
    }

    /// Whether there is no further one.
    var isAtEnd: Bool { index == items.endIndex }

    /// Encodes the next block; nil at the end.
    mutating func next() throws -> TaskInput.Block? {
        guard !isAtEnd else { return nil }
        let block = TaskInput.Block()
        if let bulk = coding.bulkItems {
            let most = max(1, Self.bulkSize / (bulk.stride * size)) * size
            let end = items.index(index, offsetBy: most, limitedBy: items.endIndex) ?? items.endIndex
            ContiguousArray(items[index..<end]).withUnsafeBytes { elements in
                block.append(elements, bulk, pieceSize: size * bulk.stride, isPrefixed: isPrefixed)
            }
            index = end
            return block
        }
        while !isAtEnd, block.writer.count < Self.blockSize, !block.carriesDescriptors {
            let end = items.index(index, offsetBy: size, limitedBy: items.endIndex) ?? items.endIndex
            let piece = Array(items[index..<end])
            try block.append(isPrefixed: isPrefixed) { writer, userInfo in
                try coding.encode(piece, &writer, userInfo)
            }
            index = end
        }
        return block
    }
}
