// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingFunctions
internal import MultiprocessingWireCoding

/// A function that a client told once, to be called by its number from then on.
protocol FunctionDefinition {
    /// Reads the argument of one call on `value`.
    ///
    /// - Throws: What decoding throws; `FunctionNotPortable` when the value is of another type.
    func bind(
        to value: HostedValue,
        _ reader: inout WireReader,
        _ userInfo: [CodingUserInfoKey: Any]
    ) throws -> HostedCall
}

extension FunctionDefinition {
    /// The value at its type.
    func check<Kind: HostedValue>(_ value: HostedValue, is type: Kind.Type) throws -> Kind {
        guard Swift.type(of: value) == type else {
            throw FunctionNotPortable.corrupt("the value is not a \(Kind.self)")
        }
        // Safe because of the line above; a cast would take longer than the call.
        return unsafeDowncast(value, to: type)
    }
}

/// A function that a user wrote.
struct ClosureDefinition<Value>: FunctionDefinition {
    private let function: ReceivedMutation<Value>

    init(_ function: ReceivedMutation<Value>) {
        self.function = function
    }

    func bind(
        to value: HostedValue,
        _ reader: inout WireReader,
        _ userInfo: [CodingUserInfoKey: Any]
    ) throws -> HostedCall {
        let hosted = try check(value, is: Hosted<Value>.self)
        switch try function.bind(argumentFrom: &reader, userInfo: userInfo) {
        case .sync(let body): return .sync { try hosted.change(body) }
        case .async(let body): return .async { try await hosted.change(body) }
        }
    }
}

/// A function of the package.
struct OperationDefinition<Operation: ManagedOperation>: FunctionDefinition {
    func bind(
        to value: HostedValue,
        _ reader: inout WireReader,
        _ userInfo: [CodingUserInfoKey: Any]
    ) throws -> HostedCall {
        let hosted = try check(value, is: Hosted<Operation.Value>.self)
        let argument = try Nothing.decode(Operation.Argument.self, from: &reader, userInfo: userInfo)
        return .sync {
            let result = try hosted.change { try Operation.perform(&$0, argument) }
            if Operation.Result.self == Nothing.self { return nil }
            return { writer, userInfo in try WireCoding.encode(result, into: &writer, userInfo: userInfo) }
        }
    }
}

extension Nothing {
    /// Reads an argument or result, unless it is `Nothing`.
    @inline(__always)
    static func decode<T: Portable>(
        _: T.Type,
        from reader: inout WireReader,
        userInfo: [CodingUserInfoKey: Any]
    ) throws -> T {
        if T.self == Nothing.self { return unsafeBitCast(Nothing(), to: T.self) }  // the same type, of no size
        return try WireCoding.decode(T.self, from: &reader, userInfo: userInfo)
    }

    /// Writes an argument, unless it is `Nothing`.
    @inline(__always)
    static func encode<T: Portable>(
        _ value: T,
        into writer: inout WireWriter,
        userInfo: [CodingUserInfoKey: Any]
    ) throws {
        if T.self == Nothing.self { return }
        try WireCoding.encode(value, into: &writer, userInfo: userInfo)
    }
}
