// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

extension Pool {
    /// A lazy map over a sequence.
    func stream<T: Codable & Sendable, R: Codable & Sendable>(
        _ items: SequenceReader<T>,
        _ settings: StreamSettings,
        _ function: (FunctionTable) throws -> TaskFunction
    ) -> PoolResults<R> {
        PoolResults {
            let function = try prepared(settings, function)
            return try .init(items, core, owner: self, settings, function, .wire(settings.isElementwise))
        }
    }

    /// A lazy map over an asynchronous sequence.
    func stream<S: AsyncSequence, R: Codable & Sendable>(
        reading items: sending S,
        _ settings: StreamSettings,
        _ function: (FunctionTable) throws -> TaskFunction
    ) -> PoolResults<R> where S.Element: Codable & Sendable {
        let items = SendableBox(items)
        return PoolResults {
            let function = try prepared(settings, function)
            return try .init(reading: items.value, core, owner: self, settings, function, .wire(settings.isElementwise))
        }
    }

    private func prepared(
        _ settings: StreamSettings,
        _ function: (FunctionTable) throws -> TaskFunction
    ) throws -> TaskFunction {
        try settings.check()
        try core.checkProcess()
        return try function(core.functions)
    }
}

extension FunctionTable {
    /// A mapped function with a value that every call gets.
    func function<C: Codable & Sendable>(_ function: PortableFunction, with context: C) throws -> TaskFunction {
        try self.function(function, isMapping: true) { writer, userInfo in
            try WireCoding.encode(context, into: &writer, userInfo: userInfo)
        }
    }
}

extension StreamCoding where T: Codable & Sendable, R: Codable {
    /// Items and results as bytes: each an array of one, as the functions of maps take and return them.
    static func wire(_ isElementwise: Bool) -> StreamCoding {
        let (items, results) = (BulkArrays(of: T.self), BulkArrays(of: R.self))
        return StreamCoding { item, block in
            if let items {
                return withUnsafeBytes(of: item) { block.append(one: $0, items, isPrefixed: isElementwise) }
            }
            try block.append(isPrefixed: isElementwise) { writer, userInfo in
                try WireCoding.encode([item], into: &writer, userInfo: userInfo)
            }
        } decode: { answers, index in
            if let results, let result = answers.element(index, of: R.self, results) { return result }
            return try answers.read(index) { reader, userInfo in
                guard let result = try WireCoding.decode([R].self, from: &reader, userInfo: userInfo).first else {
                    throw PoolError(.engine, "an item has no result")
                }
                return result
            }
        }
    }
}

extension ThreadPool {
    /// A function of one item.
    enum ItemFunction<T, R> {
        case sync(@Sendable (T) throws -> R)
        case async(@Sendable (T) async throws -> R)
    }

    /// A lazy map over a sequence.
    func stream<T: Sendable, R: Sendable>(
        _ items: sending some Sequence<T>,
        _ settings: StreamSettings,
        _ function: ItemFunction<T, R>
    ) -> PoolResults<R> {
        let items = SequenceReader(items)
        return PoolResults {
            try settings.check()
            return try .init(items, core, owner: self, settings, .init(.piecewise(function)), .direct)
        }
    }

    /// A lazy map over an asynchronous sequence.
    func stream<S: AsyncSequence, R: Sendable>(
        reading items: sending S,
        _ settings: StreamSettings,
        _ function: ItemFunction<S.Element, R>
    ) -> PoolResults<R> where S.Element: Sendable {
        let items = SendableBox(items)
        return PoolResults {
            try settings.check()
            return try .init(reading: items.value, core, owner: self, settings, .init(.piecewise(function)), .direct)
        }
    }
}

extension DirectFunction {
    /// Calls a function with the item that a piece is.
    static func piecewise<T: Sendable, R: Sendable>(_ function: ThreadPool.ItemFunction<T, R>) -> DirectFunction {
        switch function {
        case .sync(let function): .sync { try function(try StreamCoding<T, R>.item($0)) }
        case .async(let function): .async { try await function(try StreamCoding<T, R>.item($0)) }
        }
    }
}

extension StreamCoding where T: Sendable {
    fileprivate static func item(_ piece: any Sendable) throws -> T {
        guard let item = piece as? T else { throw PoolError(.engine, "a piece of a map is another item") }
        return item
    }

    /// Items and results as they are.
    static var direct: StreamCoding {
        StreamCoding { item, block in
            block.append(item)
        } decode: { answers, index in
            guard let result = try answers.values(index).first as? R else {
                throw PoolError(.engine, "an item has no result")
            }
            return result
        }
    }
}
