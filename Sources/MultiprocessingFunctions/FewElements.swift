// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingWireCoding

/// Maps arrays of few elements that are carried as they lie in memory, without making arrays: in code that does not know its types, each array costs more than many a function that is called for its elements.
struct FewElements<T: Portable, R: Portable> {
    /// More bytes of elements or results than that do not go onto the stack.
    private static var mostBytes: Int { 1024 }

    private let elements: BulkArrays
    private let results: BulkArrays

    /// Returns nil where elements or results are visited one by one.
    init?() {
        guard let elements = BulkArrays(of: T.self), let results = BulkArrays(of: R.self) else { return nil }
        self.elements = elements
        self.results = results
    }

    /// Calls `body` for each element of the array that comes next, and writes the array of results; false, with nothing read, when there are many, or something else comes.
    ///
    /// - Throws: what `body` throws; nothing is written then.
    func map(
        _ reader: inout WireReader,
        _ writer: inout WireWriter,
        _ progress: ReceivedMapping.Progress,
        _ body: (T) throws -> R
    ) throws -> Bool {
        var attempt = reader
        guard let bytes = elements.read(from: &attempt), bytes.count <= Self.mostBytes else { return false }
        let count = bytes.count / elements.stride
        guard count * results.stride <= Self.mostBytes else { return false }
        reader = attempt
        // In the message they lie at any address.
        let (alignment, resultAlignment) = (MemoryLayout<T>.alignment, MemoryLayout<R>.alignment)
        let size = count * results.stride
        try withUnsafeTemporaryAllocation(byteCount: max(bytes.count, 1), alignment: alignment) { source in
            source.copyMemory(from: bytes)
            try withUnsafeTemporaryAllocation(byteCount: max(size, 1), alignment: resultAlignment) { target in
                // What lies between results goes along, and has to be something.
                target.initializeMemory(as: UInt8.self, repeating: 0)
                let from = source.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: T.self)
                let to = target.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: R.self)
                for index in 0..<count {
                    progress?(index)
                    (to + index).initialize(to: try body(from[index]))
                }
                results.write(UnsafeRawBufferPointer(rebasing: target[..<size]), into: &writer)
            }
        }
        return true
    }
}
