// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions

extension Pool {
    // MARK: - imap

    /// Calls `function` for each of `items` in the workers, lazily; the results come one by one, in the order of the items.
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
    @inlinable  // so that the items are read where their type is known
    public func imap<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending some Sequence<T>,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) throws -> R
    ) -> PoolResults<R> {
        lazily(SequenceReader(items), true, chunkSize, bufferSize, options, progress, function)
    }

    /// As `imap`, for a sequence, with an asynchronous `function`.
    public func imap<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending some Sequence<T>,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) async throws -> R
    ) -> PoolResults<R> {
        stream(SequenceReader(items), StreamSettings(true, chunkSize, bufferSize, options, progress)) {
            try $0.function(PortableFunction(function), isMapping: true)
        }
    }

    /// As `imap`, for a sequence, with a `function` and a value that each call gets, and that is sent once to each worker.
    @inlinable  // so that the items are read where their type is known
    public func imap<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending some Sequence<T>,
        with context: C,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) -> PoolResults<R> {
        lazily(SequenceReader(items), context, true, chunkSize, bufferSize, options, progress, function)
    }

    /// As `imap`, for a sequence, with an asynchronous `function` and a value that each call gets, and that is sent once to each worker.
    public func imap<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending some Sequence<T>,
        with context: C,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T, C) async throws -> R
    ) -> PoolResults<R> {
        stream(SequenceReader(items), StreamSettings(true, chunkSize, bufferSize, options, progress)) {
            try $0.function(PortableFunction(function), with: context)
        }
    }

    /// As `imap`, for an asynchronous sequence, read in a task of its own, with a `function`.
    public func imap<S: AsyncSequence, R: Codable & Sendable>(
        _ items: sending S,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (S.Element) throws -> R
    ) -> PoolResults<R> where S.Element: Codable & Sendable {
        stream(reading: items, StreamSettings(true, chunkSize, bufferSize, options, progress)) {
            try $0.function(PortableFunction(function), isMapping: true)
        }
    }

    /// As `imap`, for an asynchronous sequence, read in a task of its own, with an asynchronous `function`.
    public func imap<S: AsyncSequence, R: Codable & Sendable>(
        _ items: sending S,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (S.Element) async throws -> R
    ) -> PoolResults<R> where S.Element: Codable & Sendable {
        stream(reading: items, StreamSettings(true, chunkSize, bufferSize, options, progress)) {
            try $0.function(PortableFunction(function), isMapping: true)
        }
    }

    /// As `imap`, for an asynchronous sequence, read in a task of its own, with a `function` and a value that each call gets, and that is sent once to each worker.
    public func imap<S: AsyncSequence, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending S,
        with context: C,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (S.Element, C) throws -> R
    ) -> PoolResults<R> where S.Element: Codable & Sendable {
        stream(reading: items, StreamSettings(true, chunkSize, bufferSize, options, progress)) {
            try $0.function(PortableFunction(function), with: context)
        }
    }

    /// As `imap`, for an asynchronous sequence, read in a task of its own, with an asynchronous `function` and a value that each call gets, and that is sent once to each worker.
    public func imap<S: AsyncSequence, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending S,
        with context: C,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (S.Element, C) async throws -> R
    ) -> PoolResults<R> where S.Element: Codable & Sendable {
        stream(reading: items, StreamSettings(true, chunkSize, bufferSize, options, progress)) {
            try $0.function(PortableFunction(function), with: context)
        }
    }

    // MARK: - imapUnordered

    /// Calls `function` for each of `items` in the workers, lazily; the results come one by one, as they come.
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
    @inlinable  // so that the items are read where their type is known
    public func imapUnordered<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending some Sequence<T>,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) throws -> R
    ) -> PoolResults<R> {
        lazily(SequenceReader(items), false, chunkSize, bufferSize, options, progress, function)
    }

    /// As `imapUnordered`, for a sequence, with an asynchronous `function`.
    public func imapUnordered<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending some Sequence<T>,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) async throws -> R
    ) -> PoolResults<R> {
        stream(SequenceReader(items), StreamSettings(false, chunkSize, bufferSize, options, progress)) {
            try $0.function(PortableFunction(function), isMapping: true)
        }
    }

    /// As `imapUnordered`, for a sequence, with a `function` and a value that each call gets, and that is sent once to each worker.
    @inlinable  // so that the items are read where their type is known
    public func imapUnordered<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending some Sequence<T>,
        with context: C,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) -> PoolResults<R> {
        lazily(SequenceReader(items), context, false, chunkSize, bufferSize, options, progress, function)
    }

    /// As `imapUnordered`, for a sequence, with an asynchronous `function` and a value that each call gets, and that is sent once to each worker.
    public func imapUnordered<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending some Sequence<T>,
        with context: C,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T, C) async throws -> R
    ) -> PoolResults<R> {
        stream(SequenceReader(items), StreamSettings(false, chunkSize, bufferSize, options, progress)) {
            try $0.function(PortableFunction(function), with: context)
        }
    }

    /// As `imapUnordered`, for an asynchronous sequence, read in a task of its own, with a `function`.
    public func imapUnordered<S: AsyncSequence, R: Codable & Sendable>(
        _ items: sending S,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (S.Element) throws -> R
    ) -> PoolResults<R> where S.Element: Codable & Sendable {
        stream(reading: items, StreamSettings(false, chunkSize, bufferSize, options, progress)) {
            try $0.function(PortableFunction(function), isMapping: true)
        }
    }

    /// As `imapUnordered`, for an asynchronous sequence, read in a task of its own, with an asynchronous `function`.
    public func imapUnordered<S: AsyncSequence, R: Codable & Sendable>(
        _ items: sending S,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (S.Element) async throws -> R
    ) -> PoolResults<R> where S.Element: Codable & Sendable {
        stream(reading: items, StreamSettings(false, chunkSize, bufferSize, options, progress)) {
            try $0.function(PortableFunction(function), isMapping: true)
        }
    }

    /// As `imapUnordered`, for an asynchronous sequence, read in a task of its own, with a `function` and a value that each call gets, and that is sent once to each worker.
    public func imapUnordered<S: AsyncSequence, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending S,
        with context: C,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (S.Element, C) throws -> R
    ) -> PoolResults<R> where S.Element: Codable & Sendable {
        stream(reading: items, StreamSettings(false, chunkSize, bufferSize, options, progress)) {
            try $0.function(PortableFunction(function), with: context)
        }
    }

    /// As `imapUnordered`, for an asynchronous sequence, read in a task of its own, with an asynchronous `function` and a value that each call gets, and that is sent once to each worker.
    public func imapUnordered<S: AsyncSequence, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending S,
        with context: C,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (S.Element, C) async throws -> R
    ) -> PoolResults<R> where S.Element: Codable & Sendable {
        stream(reading: items, StreamSettings(false, chunkSize, bufferSize, options, progress)) {
            try $0.function(PortableFunction(function), with: context)
        }
    }

    // MARK: - Beginning

    /// Begins a lazy map with a `function`.
    @usableFromInline
    func lazily<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: SequenceReader<T>,
        _ isOrdered: Bool,
        _ chunkSize: Int?,
        _ bufferSize: Int?,
        _ options: TaskOptions,
        _ progress: PoolProgress?,
        _ function: @escaping @Sendable (T) throws -> R
    ) -> PoolResults<R> {
        stream(items, StreamSettings(isOrdered, chunkSize, bufferSize, options, progress)) {
            try $0.function(PortableFunction(function), isMapping: true)
        }
    }

    /// Begins a lazy map with a `function` and a value that each call gets.
    @usableFromInline
    func lazily<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: SequenceReader<T>,
        _ context: C,
        _ isOrdered: Bool,
        _ chunkSize: Int?,
        _ bufferSize: Int?,
        _ options: TaskOptions,
        _ progress: PoolProgress?,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) -> PoolResults<R> {
        stream(items, StreamSettings(isOrdered, chunkSize, bufferSize, options, progress)) {
            try $0.function(PortableFunction(function), with: context)
        }
    }
}
