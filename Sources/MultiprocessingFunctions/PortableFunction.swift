// SPDX-License-Identifier: Apache-2.0
//
// A function that can be called in another process, as bytes:
//
//   8 bytes   identity of the program's build
//   1 byte    shape
//   varint    number of arguments, then their types, then the result's type if there is one
//   …         the function value (FunctionEncoder)
//
// The shape and the types are bound into the chain of references, so that a function cannot be taken for one of another type.

package import MultiprocessingWireCoding

/// A function that captures nothing: its code and its type are all there is to it.
package struct FunctionIdentity: Hashable, Sendable {
    let code: UInt
    let type: ObjectIdentifier
}

/// A function of any shape, to be written. Made from the function at its natural type, so that what is written is the user's own function.
package struct PortableFunction {
    private let shape: FunctionShape
    /// Tells it from others without encoding it, if it captures nothing.
    package let identity: FunctionIdentity?
    /// What stores the function, and keeps what it captures alive. Two words, so that nothing is allocated for it.
    private let holder: any FunctionHolder

    /// A synchronous function with a result.
    package init<each A: Portable, R: Portable>(_ body: @escaping @Sendable (repeat each A) throws -> R) {
        self.init([.hasResult], SyncFunction(body: body))
    }

    /// An asynchronous function with a result.
    package init<each A: Portable, R: Portable>(
        _ body: @escaping @Sendable @concurrent (repeat each A) async throws -> R
    ) {
        self.init([.hasResult, .isAsync], AsyncFunction(body: body))
    }

    /// A synchronous function without a result.
    package init<each A: Portable>(procedure body: @escaping @Sendable (repeat each A) throws -> Void) {
        self.init([], SyncProcedure(body: body))
    }

    /// An asynchronous function without a result.
    package init<each A: Portable>(procedure body: @escaping @Sendable @concurrent (repeat each A) async throws -> Void)
    {
        self.init([.isAsync], AsyncProcedure(body: body))
    }

    /// A synchronous function without parameters that returns a result.
    package init<R: Portable>(closure body: @escaping @Sendable () throws -> R) {
        self.init([.hasResult, .isClosure], SyncClosure(body: body))
    }

    /// An asynchronous function without parameters that returns a result.
    package init<R: Portable>(closure body: @escaping @Sendable () async throws -> R) {
        self.init([.hasResult, .isClosure, .isAsync], AsyncClosure(body: body))
    }

    /// A synchronous function without parameters or result.
    package init(action body: @escaping @Sendable () throws -> Void) {
        self.init([.isClosure], SyncAction(body: body))
    }

    /// An asynchronous function without parameters or result.
    package init(action body: @escaping @Sendable () async throws -> Void) {
        self.init([.isClosure, .isAsync], AsyncAction(body: body))
    }

    private init<Holder: FunctionHolder>(_ shape: FunctionShape, _ holder: Holder) {
        self.shape = shape
        self.holder = holder
        let words = FunctionWords(of: holder)
        identity = words.context == 0 ? FunctionIdentity(code: words.code, type: ObjectIdentifier(Holder.self)) : nil
    }

    /// Writes the function.
    ///
    /// - Throws: `FunctionNotPortable` when it, something it captures, or one of its types cannot be carried. Nothing that was written is of use then.
    package func encode(into writer: inout WireWriter, userInfo: [CodingUserInfoKey: Any]) throws {
        let argumentTypes = type(of: holder).argumentTypes
        writer.write(Images.build)
        writer.write(shape.rawValue)
        writer.writeVarint(UInt64(argumentTypes.count))
        var references = ReferenceWriter()
        references.bind(UInt64(shape.rawValue))
        references.bind(UInt64(argumentTypes.count))
        for type in argumentTypes { try references.write(type, into: &writer) }
        if let resultType = type(of: holder).resultType { try references.write(resultType, into: &writer) }
        var encoder = FunctionEncoder(references: references, userInfo: userInfo)
        try withExtendedLifetime(holder) { try encoder.encode(holder.words, into: &writer) }
    }
}
