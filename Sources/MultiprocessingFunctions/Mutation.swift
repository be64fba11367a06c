// SPDX-License-Identifier: Apache-2.0
//
// Functions that change a value where it lies, of a type that need not be `Codable`: the value stays, the functions travel to it. As bytes:
//
//   8 bytes   identity of the program's build
//   1 byte    shape
//   …         the type of the value; the type of the argument, unless `isClosure`; the type of the result, with `hasResult`
//   …         the function value (FunctionEncoder)

package import MultiprocessingWireCoding

/// A function on a value of type `Value`, in each of the shapes.
package enum Mutation<Value> {
    /// A synchronous function with a result.
    package static func closure<R: Portable>(_ body: @escaping @Sendable (inout Value) throws -> R) -> PortableMutation
    {
        PortableMutation([.hasResult, .isClosure], Value.self, R.self, holding: SyncMutation(body: body))
    }

    /// An asynchronous function with a result.
    package static func closure<R: Portable>(
        _ body: @escaping @Sendable (inout Value) async throws -> R
    ) -> PortableMutation {
        PortableMutation([.hasResult, .isClosure, .isAsync], Value.self, R.self, holding: AsyncMutation(body: body))
    }

    /// A synchronous function without a result.
    package static func action(_ body: @escaping @Sendable (inout Value) throws -> Void) -> PortableMutation {
        PortableMutation([.isClosure], Value.self, holding: SyncChange(body: body))
    }

    /// An asynchronous function without a result.
    package static func action(_ body: @escaping @Sendable (inout Value) async throws -> Void) -> PortableMutation {
        PortableMutation([.isClosure, .isAsync], Value.self, holding: AsyncChange(body: body))
    }

    /// A synchronous function with an argument and a result.
    package static func function<A: Portable, R: Portable>(
        _ body: @escaping @Sendable (inout Value, A) throws -> R
    ) -> PortableMutation {
        PortableMutation([.hasResult], Value.self, A.self, R.self, holding: SyncMutationWith(body: body))
    }

    /// An asynchronous function with an argument and a result.
    package static func function<A: Portable, R: Portable>(
        _ body: @escaping @Sendable (inout Value, A) async throws -> R
    ) -> PortableMutation {
        PortableMutation([.hasResult, .isAsync], Value.self, A.self, R.self, holding: AsyncMutationWith(body: body))
    }

    /// A synchronous function with an argument and no result.
    package static func procedure<A: Portable>(
        _ body: @escaping @Sendable (inout Value, A) throws -> Void
    ) -> PortableMutation {
        PortableMutation([], Value.self, A.self, holding: SyncChangeWith(body: body))
    }

    /// An asynchronous function with an argument and no result.
    package static func procedure<A: Portable>(
        _ body: @escaping @Sendable (inout Value, A) async throws -> Void
    ) -> PortableMutation {
        PortableMutation([.isAsync], Value.self, A.self, holding: AsyncChangeWith(body: body))
    }

    /// A function that makes a value.
    package static func maker(_ body: @escaping @Sendable () throws -> Value) -> PortableMutation {
        PortableMutation([.isMaker, .isClosure], Value.self, holding: SyncClosure(body: body))
    }
}

/// A function on a value, or one that makes a value, to be written.
///
/// `@unchecked` is safe because nothing of it changes, and what `holder` holds is a `@Sendable` function.
package struct PortableMutation: @unchecked Sendable {
    /// What tells one function from another without writing either.
    package struct Identity: Hashable, Sendable {
        private let code: UInt
        private let shape: UInt8
        // Not in an array, which would cost memory at each call of a function.
        private let value: ObjectIdentifier
        private let second: ObjectIdentifier?
        private let third: ObjectIdentifier?

        fileprivate init(code: UInt, shape: UInt8, types: Types) {
            self.code = code
            self.shape = shape
            value = ObjectIdentifier(types.value)
            second = types.second.map { ObjectIdentifier($0) }
            third = types.third.map { ObjectIdentifier($0) }
        }
    }

    /// The type of the value; then those of argument and result, as far as there are any.
    fileprivate struct Types {
        let value: Any.Type
        let second: Any.Type?
        let third: Any.Type?
    }

    private let shape: FunctionShape
    private let types: Types
    private let words: FunctionWords
    /// Keeps what the words point to.
    private let holder: Any

    fileprivate init<Holder>(
        _ shape: FunctionShape,
        _ value: Any.Type,
        _ second: Any.Type? = nil,
        _ third: Any.Type? = nil,
        holding holder: Holder
    ) {
        self.shape = shape.contains(.isMaker) ? shape : shape.union(.isMutation)
        types = Types(value: value, second: second, third: third)
        words = FunctionWords(of: holder)
        self.holder = holder
    }

    /// The identity of a function that captures nothing: the same for each use of it. Nil for one that captures something, which may differ from use to use.
    package var identity: Identity? {
        guard words.context == 0 else { return nil }
        return Identity(code: words.code, shape: shape.rawValue, types: types)
    }

    /// Writes the function.
    ///
    /// - Throws: `FunctionNotPortable` when it, something it captures, or one of its types cannot be carried. Nothing that was written is of use then.
    package func encode(into writer: inout WireWriter, userInfo: [CodingUserInfoKey: Any]) throws {
        writer.write(Images.build)
        writer.write(shape.rawValue)
        var references = ReferenceWriter()
        references.bind(UInt64(shape.rawValue))
        for type in [types.value, types.second, types.third] {
            if let type { try references.write(type, into: &writer) }
        }
        var encoder = FunctionEncoder(references: references, userInfo: userInfo)
        try withExtendedLifetime(holder) { try encoder.encode(words, into: &writer) }
    }
}

// MARK: - Holders, as in FunctionShape.swift

/// A synchronous function on a value.
struct SyncMutation<Value, Result> {
    var body: @Sendable (inout Value) throws -> Result
}

/// An asynchronous function on a value.
struct AsyncMutation<Value, Result> {
    var body: @Sendable (inout Value) async throws -> Result
}

/// A synchronous function on a value, with an argument.
struct SyncMutationWith<Value, Argument, Result> {
    var body: @Sendable (inout Value, Argument) throws -> Result
}

/// An asynchronous function on a value, with an argument.
struct AsyncMutationWith<Value, Argument, Result> {
    var body: @Sendable (inout Value, Argument) async throws -> Result
}

/// A synchronous function on a value, without a result.
struct SyncChange<Value> {
    var body: @Sendable (inout Value) throws -> Void
}

/// An asynchronous function on a value, without a result.
struct AsyncChange<Value> {
    var body: @Sendable (inout Value) async throws -> Void
}

/// A synchronous function on a value, with an argument and without a result.
struct SyncChangeWith<Value, Argument> {
    var body: @Sendable (inout Value, Argument) throws -> Void
}

/// An asynchronous function on a value, with an argument and without a result.
struct AsyncChangeWith<Value, Argument> {
    var body: @Sendable (inout Value, Argument) async throws -> Void
}
