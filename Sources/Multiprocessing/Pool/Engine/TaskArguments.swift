// SPDX-License-Identifier: Apache-2.0

/// The encoded arguments of a job: of a call whose arguments are a few bytes, where they are needed, and otherwise an object that has them.
enum TaskArguments {
    /// The only piece there is and will be.
    case short(ShortBytes)
    /// Pieces that may be large, or carry handles, or are still to come.
    case pieces(TaskInput)

    /// How many pieces were added.
    var count: Int {
        switch self {
        case .short: 1
        case .pieces(let input): input.count
        }
    }

    /// Whether there are handles in any piece.
    var carriesDescriptors: Bool {
        switch self {
        case .short: false
        case .pieces(let input): input.carriesDescriptors
        }
    }

    /// The descriptors beside all pieces.
    var descriptors: [Int32] {
        switch self {
        case .short: []
        case .pieces(let input): input.descriptors
        }
    }

    /// The bytes of `pieces`.
    func size(of pieces: Range<Int>) -> Int {
        switch self {
        case .short(let bytes): pieces.isEmpty ? 0 : bytes.count
        case .pieces(let input): input.size(of: pieces)
        }
    }

    /// The descriptors beside `pieces`.
    func descriptors(of pieces: Range<Int>) -> [Int32] {
        switch self {
        case .short: []
        case .pieces(let input): input.descriptors(of: pieces)
        }
    }

    /// The values of `pieces`, where nothing is encoded.
    func values(of pieces: Range<Int>) -> [any Sendable] {
        switch self {
        case .short: []
        case .pieces(let input): input.values(of: pieces)
        }
    }

    /// Copies the bytes of `pieces` to `target`.
    func copy(_ pieces: Range<Int>, to target: UnsafeMutableRawPointer) {
        switch self {
        case .short(let bytes):
            bytes.withBytes { bytes in
                guard !pieces.isEmpty, let base = bytes.baseAddress else { return }
                target.copyMemory(from: base, byteCount: bytes.count)
            }
        case .pieces(let input): input.copy(pieces, to: target)
        }
    }

    /// The memory that `pieces` are in and nothing else is, where an engine has lent it.
    @inline(__always)
    func loan(of pieces: Range<Int>) -> (any LentMemory)? {
        switch self {
        case .short: nil
        case .pieces(let input): input.loan(of: pieces)
        }
    }

    /// Says that nothing of it is needed any more.
    func giveBack() {
        if case .pieces(let input) = self { input.giveBack() }
    }

    /// Forgets blocks of which all pieces come before `piece`, so that a long stream does not grow, and returns what was in them.
    func forget(before piece: Int) -> [TaskInput.Block] {
        if case .pieces(let input) = self { input.forget(before: piece) } else { [] }
    }
}
