// SPDX-License-Identifier: Apache-2.0

extension WorkerPool {
    /// Calls `function` for each of `items` in the workers, lazily; the results come one by one, in the order of the items.
    public func imap<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending some Sequence<T>,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) throws -> R
    ) -> PoolResults<R> {
        imap(items, chunkSize: chunkSize, bufferSize: bufferSize, options: options, progress: progress, function)
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
        imap(items, chunkSize: chunkSize, bufferSize: bufferSize, options: options, progress: progress, function)
    }

    /// As `imap`, for a sequence, with a `function` and a value that each call gets, and that is sent once to each worker.
    public func imap<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending some Sequence<T>,
        with context: C,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) -> PoolResults<R> {
        imap(
            items,
            with: context,
            chunkSize: chunkSize,
            bufferSize: bufferSize,
            options: options,
            progress: progress,
            function
        )
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
        imap(
            items,
            with: context,
            chunkSize: chunkSize,
            bufferSize: bufferSize,
            options: options,
            progress: progress,
            function
        )
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
        imap(items, chunkSize: chunkSize, bufferSize: bufferSize, options: options, progress: progress, function)
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
        imap(items, chunkSize: chunkSize, bufferSize: bufferSize, options: options, progress: progress, function)
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
        imap(
            items,
            with: context,
            chunkSize: chunkSize,
            bufferSize: bufferSize,
            options: options,
            progress: progress,
            function
        )
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
        imap(
            items,
            with: context,
            chunkSize: chunkSize,
            bufferSize: bufferSize,
            options: options,
            progress: progress,
            function
        )
    }

    /// Calls `function` for each of `items` in the workers, lazily; the results come one by one, as they come.
    public func imapUnordered<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending some Sequence<T>,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T) throws -> R
    ) -> PoolResults<R> {
        imapUnordered(
            items,
            chunkSize: chunkSize,
            bufferSize: bufferSize,
            options: options,
            progress: progress,
            function
        )
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
        imapUnordered(
            items,
            chunkSize: chunkSize,
            bufferSize: bufferSize,
            options: options,
            progress: progress,
            function
        )
    }

    /// As `imapUnordered`, for a sequence, with a `function` and a value that each call gets, and that is sent once to each worker.
    public func imapUnordered<T: Codable & Sendable, C: Codable & Sendable, R: Codable & Sendable>(
        _ items: sending some Sequence<T>,
        with context: C,
        chunkSize: Int? = nil,
        bufferSize: Int? = nil,
        options: TaskOptions = TaskOptions(),
        progress: PoolProgress? = nil,
        _ function: @escaping @Sendable (T, C) throws -> R
    ) -> PoolResults<R> {
        imapUnordered(
            items,
            with: context,
            chunkSize: chunkSize,
            bufferSize: bufferSize,
            options: options,
            progress: progress,
            function
        )
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
        imapUnordered(
            items,
            with: context,
            chunkSize: chunkSize,
            bufferSize: bufferSize,
            options: options,
            progress: progress,
            function
        )
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
        imapUnordered(
            items,
            chunkSize: chunkSize,
            bufferSize: bufferSize,
            options: options,
            progress: progress,
            function
        )
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
        imapUnordered(
            items,
            chunkSize: chunkSize,
            bufferSize: bufferSize,
            options: options,
            progress: progress,
            function
        )
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
        imapUnordered(
            items,
            with: context,
            chunkSize: chunkSize,
            bufferSize: bufferSize,
            options: options,
            progress: progress,
            function
        )
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
        imapUnordered(
            items,
            with: context,
            chunkSize: chunkSize,
            bufferSize: bufferSize,
            options: options,
            progress: progress,
            function
        )
    }
}
