// SPDX-License-Identifier: Apache-2.0

extension ThreadPool {
    // MARK: - imap

    /// Calls `function` for each of `items` on the pool's threads, lazily; the results come one by one, in the order of the items.
    ///
    /// ```swift
    /// for try await page in pool.imap(addresses, fetch) { … }
    /// ```
    ///
    /// Nothing is begun before the first result is asked for, and nothing is thrown here: what is wrong with the call, the first result throws.
    ///
    /// - Parameters:
    ///   - items: Any sequence; infinite ones too. It is read on the thread or task that takes results; one that may block is better an `AsyncSequence`.
    ///   - chunkSize: How many items a worker gets at a time; nil: as many as suit how long they take.
    ///   - bufferSize: The most items that are read and whose results were not taken; nil: enough to keep the workers busy.
    ///   - options: Time limit, further tries and priority of the calls.
    ///   - progress: Who is told how far it has come.
    ///   - function: Called once for each item.
    public func imap<T: Sendable, R: Sendable>(
        _ items: sending some Sequence<T>,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) throws -> R
    ) -> PoolResults<R> {
        stream(items, StreamSettings(true, chunkSize, bufferSize, options, progress), .sync(function))
    }

    /// As `imap`, for a sequence, with an asynchronous `function`.
    public func imap<T: Sendable, R: Sendable>(
        _ items: sending some Sequence<T>,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) async throws -> R
    ) -> PoolResults<R> {
        stream(items, StreamSettings(true, chunkSize, bufferSize, options, progress), .async(function))
    }

    /// As `imap`, for a sequence, with a `function` and a value that each call gets.
    public func imap<T: Sendable, C: Sendable, R: Sendable>(
        _ items: sending some Sequence<T>,
        with context: C,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) -> PoolResults<R> {
        let body: @Sendable (T) throws -> R = { try function($0, context) }
        return stream(items, StreamSettings(true, chunkSize, bufferSize, options, progress), .sync(body))
    }

    /// As `imap`, for a sequence, with an asynchronous `function` and a value that each call gets.
    public func imap<T: Sendable, C: Sendable, R: Sendable>(
        _ items: sending some Sequence<T>,
        with context: C,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T, C) async throws -> R
    ) -> PoolResults<R> {
        let body: @Sendable (T) async throws -> R = { try await function($0, context) }
        return stream(items, StreamSettings(true, chunkSize, bufferSize, options, progress), .async(body))
    }

    /// As `imap`, for an asynchronous sequence, read in a task of its own, with a `function`.
    public func imap<S: AsyncSequence, R: Sendable>(
        _ items: sending S,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (S.Element) throws -> R
    ) -> PoolResults<R> where S.Element: Sendable {
        stream(reading: items, StreamSettings(true, chunkSize, bufferSize, options, progress), .sync(function))
    }

    /// As `imap`, for an asynchronous sequence, read in a task of its own, with an asynchronous `function`.
    public func imap<S: AsyncSequence, R: Sendable>(
        _ items: sending S,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (S.Element) async throws -> R
    ) -> PoolResults<R> where S.Element: Sendable {
        stream(reading: items, StreamSettings(true, chunkSize, bufferSize, options, progress), .async(function))
    }

    /// As `imap`, for an asynchronous sequence, read in a task of its own, with a `function` and a value that each call gets.
    public func imap<S: AsyncSequence, C: Sendable, R: Sendable>(
        _ items: sending S,
        with context: C,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (S.Element, C) throws -> R
    ) -> PoolResults<R> where S.Element: Sendable {
        let body: @Sendable (S.Element) throws -> R = { try function($0, context) }
        return stream(reading: items, StreamSettings(true, chunkSize, bufferSize, options, progress), .sync(body))
    }

    /// As `imap`, for an asynchronous sequence, read in a task of its own, with an asynchronous `function` and a value that each call gets.
    public func imap<S: AsyncSequence, C: Sendable, R: Sendable>(
        _ items: sending S,
        with context: C,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (S.Element, C) async throws -> R
    ) -> PoolResults<R> where S.Element: Sendable {
        let body: @Sendable (S.Element) async throws -> R = { try await function($0, context) }
        return stream(reading: items, StreamSettings(true, chunkSize, bufferSize, options, progress), .async(body))
    }

    // MARK: - imapUnordered

    /// Calls `function` for each of `items` on the pool's threads, lazily; the results come one by one, as they come.
    ///
    /// ```swift
    /// for try await page in pool.imapUnordered(addresses, fetch) { … }
    /// ```
    ///
    /// Nothing is begun before the first result is asked for, and nothing is thrown here: what is wrong with the call, the first result throws.
    ///
    /// - Parameters:
    ///   - items: Any sequence; infinite ones too. It is read on the thread or task that takes results; one that may block is better an `AsyncSequence`.
    ///   - chunkSize: How many items a worker gets at a time; nil: as many as suit how long they take.
    ///   - bufferSize: The most items that are read and whose results were not taken; nil: enough to keep the workers busy.
    ///   - options: Time limit, further tries and priority of the calls.
    ///   - progress: Who is told how far it has come.
    ///   - function: Called once for each item.
    public func imapUnordered<T: Sendable, R: Sendable>(
        _ items: sending some Sequence<T>,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) throws -> R
    ) -> PoolResults<R> {
        stream(items, StreamSettings(false, chunkSize, bufferSize, options, progress), .sync(function))
    }

    /// As `imapUnordered`, for a sequence, with an asynchronous `function`.
    public func imapUnordered<T: Sendable, R: Sendable>(
        _ items: sending some Sequence<T>,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) async throws -> R
    ) -> PoolResults<R> {
        stream(items, StreamSettings(false, chunkSize, bufferSize, options, progress), .async(function))
    }

    /// As `imapUnordered`, for a sequence, with a `function` and a value that each call gets.
    public func imapUnordered<T: Sendable, C: Sendable, R: Sendable>(
        _ items: sending some Sequence<T>,
        with context: C,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) -> PoolResults<R> {
        let body: @Sendable (T) throws -> R = { try function($0, context) }
        return stream(items, StreamSettings(false, chunkSize, bufferSize, options, progress), .sync(body))
    }

    /// As `imapUnordered`, for a sequence, with an asynchronous `function` and a value that each call gets.
    public func imapUnordered<T: Sendable, C: Sendable, R: Sendable>(
        _ items: sending some Sequence<T>,
        with context: C,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T, C) async throws -> R
    ) -> PoolResults<R> {
        let body: @Sendable (T) async throws -> R = { try await function($0, context) }
        return stream(items, StreamSettings(false, chunkSize, bufferSize, options, progress), .async(body))
    }

    /// As `imapUnordered`, for an asynchronous sequence, read in a task of its own, with a `function`.
    public func imapUnordered<S: AsyncSequence, R: Sendable>(
        _ items: sending S,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (S.Element) throws -> R
    ) -> PoolResults<R> where S.Element: Sendable {
        stream(reading: items, StreamSettings(false, chunkSize, bufferSize, options, progress), .sync(function))
    }

    /// As `imapUnordered`, for an asynchronous sequence, read in a task of its own, with an asynchronous `function`.
    public func imapUnordered<S: AsyncSequence, R: Sendable>(
        _ items: sending S,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (S.Element) async throws -> R
    ) -> PoolResults<R> where S.Element: Sendable {
        stream(reading: items, StreamSettings(false, chunkSize, bufferSize, options, progress), .async(function))
    }

    /// As `imapUnordered`, for an asynchronous sequence, read in a task of its own, with a `function` and a value that each call gets.
    public func imapUnordered<S: AsyncSequence, C: Sendable, R: Sendable>(
        _ items: sending S,
        with context: C,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (S.Element, C) throws -> R
    ) -> PoolResults<R> where S.Element: Sendable {
        let body: @Sendable (S.Element) throws -> R = { try function($0, context) }
        return stream(reading: items, StreamSettings(false, chunkSize, bufferSize, options, progress), .sync(body))
    }

    /// As `imapUnordered`, for an asynchronous sequence, read in a task of its own, with an asynchronous `function` and a value that each call gets.
    public func imapUnordered<S: AsyncSequence, C: Sendable, R: Sendable>(
        _ items: sending S,
        with context: C,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (S.Element, C) async throws -> R
    ) -> PoolResults<R> where S.Element: Sendable {
        let body: @Sendable (S.Element) async throws -> R = { try await function($0, context) }
        return stream(reading: items, StreamSettings(false, chunkSize, bufferSize, options, progress), .async(body))
    }
}
