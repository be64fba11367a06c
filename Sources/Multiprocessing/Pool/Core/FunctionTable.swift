// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingFunctions
internal import MultiprocessingWireCoding
internal import Synchronization

/// The functions of a pool by what they are encoded to, so that a repeated one crosses once to each worker. One with handles is known as long as calls with it are under way.
final class FunctionTable: Sendable {
    /// More than so many are forgotten together, and numbered anew.
    private static let mostFunctions = 512
    /// From so many bytes on, a function is large: only the last few are remembered, since they are kept whole.
    private static let largeSize = 1 << 16
    /// More large ones than that are forgotten, the one that was used longest ago first.
    private static let mostLarge = 8
    /// Of those that calls under way have, only so many are found again.
    private static let mostInUse = 32
    /// More bytes in all large ones than that, too.
    private static let mostLargeBytes = 64 << 20

    private struct State {
        var functions: [Key: TaskFunction] = [:]
        /// Those that capture nothing and have no context.
        var plain: [PlainKey: TaskFunction] = [:]
        /// The one of those that was asked for last: as a rule it is asked for again.
        var last: (key: PlainKey, function: TaskFunction)?

        /// The function that captures nothing, if it is remembered.
        mutating func known(_ key: PlainKey) -> TaskFunction? {
            if let last, last.key == key { return last.function }
            guard let function = plain[key] else { return nil }
            last = (key, function)
            return function
        }
        /// Large ones, the one that was used last at the end.
        var large: [TaskFunction] = []
        /// Those that calls under way have, among the ones that are not kept for themselves: with handles, for whoever keeps a handle keeps what it stands for, and large ones.
        var inUse: [FunctionInUse] = []
        var lastNumber: UInt32 = 0

        /// The large function with these bytes, if it is remembered.
        mutating func knownLarge(_ bytes: UnsafeRawBufferPointer, isMapping: Bool) -> TaskFunction? {
            let index = large.lastIndex { $0.isMapping == isMapping && FunctionTable.isEqual($0.bytes, bytes) }
            guard let index else { return nil }
            let known = large.remove(at: index)
            large.append(known)
            return known
        }

        /// The function with these bytes and descriptors that calls under way have, if there is one.
        func knownInUse(_ bytes: UnsafeRawBufferPointer, _ descriptors: [Int32], isMapping: Bool) -> TaskFunction? {
            for entry in inUse.reversed() {
                // A descriptor that it keeps open is nothing else under the same number.
                guard let function = entry.function, function.isMapping == isMapping,
                    function.descriptors == descriptors, FunctionTable.isEqual(function.bytes, bytes)
                else { continue }
                return function
            }
            return nil
        }

        /// Remembers a function as long as calls have it.
        mutating func rememberInUse(_ function: TaskFunction) {
            if inUse.count >= mostInUse { inUse.removeAll { $0.function == nil } }
            if inUse.count >= mostInUse { inUse.removeFirst() }
            inUse.append(FunctionInUse(function: function))
        }

        /// Remembers a large function, and forgets others for it.
        mutating func rememberLarge(_ function: TaskFunction) {
            guard function.bytes.count <= mostLargeBytes else { return }
            large.append(function)
            while large.count > mostLarge || large.reduce(0, { $0 + $1.bytes.count }) > mostLargeBytes {
                large.removeFirst()
            }
        }
    }

    /// A function that others keep, or do not any more.
    private struct FunctionInUse {
        weak var function: TaskFunction?
    }

    private struct PlainKey: Hashable {
        let isMapping: Bool
        let identity: FunctionIdentity
    }

    private struct Key: Hashable {
        let isMapping: Bool
        let bytes: [UInt8]
    }

    private let state = Mutex(State())
    /// Memory to encode into, kept warm: fresh pages cost more than the copy of what a large context has.
    private let spare = Mutex(WireWriter())

    /// Compares bytes as memory: arrays are compared element by element.
    private static func isEqual(_ left: [UInt8], _ right: UnsafeRawBufferPointer) -> Bool {
        guard left.count == right.count, let other = right.baseAddress else { return left.count == right.count }
        return left.withUnsafeBytes { $0.baseAddress.map { memcmp($0, other, right.count) == 0 } ?? true }
    }

    /// Encodes a function, with a context if it is called with one.
    ///
    /// - Throws: `FunctionNotPortable`, and what encoding captures and context throws.
    func function(
        _ portable: PortableFunction,
        isMapping: Bool,
        context: ((inout WireWriter, [CodingUserInfoKey: Any]) throws -> Void)? = nil
    ) throws -> TaskFunction {
        let plainKey =
            context == nil ? portable.identity.map { PlainKey(isMapping: isMapping, identity: $0) } : nil
        if let plainKey, let known = state.withLock({ $0.known(plainKey) }) { return known }
        let carried = CarriedDescriptors()
        let userInfo: [CodingUserInfoKey: Any] = [CarriedDescriptors.userInfoKey: carried]
        var writer = WireWriter()
        // Whoever comes meanwhile has memory of its own.
        spare.withLock { swap(&$0, &writer) }
        try portable.encode(into: &writer, userInfo: userInfo)
        try context?(&writer, userInfo)
        let function = writer.withUnsafeBytes { find($0, isMapping: isMapping, carried, plainKey) }
        writer.removeAll(keepingCapacity: writer.capacity <= Self.mostLargeBytes)
        spare.withLock { swap(&$0, &writer) }
        return function
    }

    /// The function with these bytes, remembered or new.
    private func find(
        _ bytes: UnsafeRawBufferPointer,
        isMapping: Bool,
        _ carried: CarriedDescriptors,
        _ plainKey: PlainKey?
    ) -> TaskFunction {
        let box = SendableBox(carried)
        return state.withLock { state in
            // The same bytes with other descriptors are another function.
            let hasHandles = !box.value.numbers.isEmpty
            let isLarge = bytes.count > Self.largeSize
            if !hasHandles, isLarge, let known = state.knownLarge(bytes, isMapping: isMapping) { return known }
            if hasHandles || isLarge, let known = state.knownInUse(bytes, box.value.numbers, isMapping: isMapping) {
                return known
            }
            let key = Key(isMapping: isMapping, bytes: Array(bytes))
            if !hasHandles, !isLarge, let known = state.functions[key] {
                if let plainKey { state.plain[plainKey] = known }
                return known
            }
            state.lastNumber &+= 1
            let made = TaskFunction(number: state.lastNumber, isMapping: isMapping, bytes: key.bytes, box.value)
            if hasHandles || isLarge {
                state.rememberInUse(made)
                if !hasHandles { state.rememberLarge(made) }
                return made
            }
            if state.functions.count >= Self.mostFunctions { state.functions = [:] }
            state.functions[key] = made
            // Bounded by the functions that a program has.
            if let plainKey { state.plain[plainKey] = made }
            return made
        }
    }
}
