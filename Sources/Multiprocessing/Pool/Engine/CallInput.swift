// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingWireCoding

/// The encoded arguments of one call.
enum CallInput {
    /// Few bytes, and no handles.
    case short(ShortBytes)
    /// Anything else.
    case block(TaskInput.Block)

    /// Encodes arguments for a call of `core`.
    ///
    /// - Throws: what `encode` throws.
    init(for core: PoolCore, _ encode: (inout WireWriter, [CodingUserInfoKey: Any]) throws -> Void) throws {
        self = try EncodingContext.with(core) { context in
            try encode(&context.writer, context.userInfo)
            let carried = context.takeIfUsed()
            if carried == nil, let short = context.writer.withUnsafeBytes({ ShortBytes($0) }) { return .short(short) }
            return .block(context.takeBlock(carried))
        }
    }

    /// How many bytes they are.
    var size: Int {
        switch self {
        case .short(let bytes): bytes.count
        case .block(let block): block.writer.count
        }
    }
}
