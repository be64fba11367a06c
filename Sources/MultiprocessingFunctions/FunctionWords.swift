// SPDX-License-Identifier: Apache-2.0

/// A function value as it lies in memory: where its code is, and the object that holds what it captured.
///
/// Pinned by tests in debug and release: a function stored in a struct whose property has exactly the function's type lies there as these two words. (Read through a generic
/// parameter it would be wrapped in one more conversion.)
struct FunctionWords {
    /// The address of the code, or of the descriptor of an asynchronous function.
    var code: UInt
    /// The address of the context; 0 when nothing is captured.
    var context: UInt
}

extension FunctionWords {
    /// Reads the words of the function that `holder` stores and nothing else. The holder keeps the context alive.
    init<Holder>(of holder: borrowing Holder) {
        precondition(MemoryLayout<Holder>.size == 16, "a function value is expected to be two words")
        self = withUnsafeBytes(of: holder) { bytes in
            FunctionWords(code: bytes.load(as: UInt.self), context: bytes.load(fromByteOffset: 8, as: UInt.self))
        }
    }

    /// Reads the words that lie in a field.
    init(at field: UnsafeRawPointer) {
        self.init(code: field.load(as: UInt.self), context: field.load(fromByteOffset: 8, as: UInt.self))
    }

    /// Makes the holder of these words, handing over the reference to the context.
    ///
    /// The caller guarantees that the words came from a holder of the same type, in this or in another process of this build.
    consuming func intoHolder<Holder>(_: Holder.Type) -> Holder {
        precondition(MemoryLayout<Holder>.size == 16, "a function value is expected to be two words")
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 16, alignment: 8)
        defer { memory.deallocate() }
        memory.storeBytes(of: code, as: UInt.self)
        memory.storeBytes(of: context, toByteOffset: 8, as: UInt.self)
        // Bound once, moved out once: the context's reference goes to the result.
        return memory.bindMemory(to: Holder.self, capacity: 1).move()
    }

    /// Gives up the reference to the context, when no holder takes it.
    consuming func release() {
        guard let object = UnsafeRawPointer(bitPattern: context) else { return }
        Unmanaged<AnyObject>.fromOpaque(object).release()
    }
}
