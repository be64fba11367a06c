// SPDX-License-Identifier: Apache-2.0

/// How many items of a map make a piece, the smallest thing that is handed out.
enum PieceSize {
    /// So many pieces for each worker: where the long items lie together, they are in pieces enough to be shared out evenly.
    private static var piecesPerWorker: Int { 256 }
    /// More items do not make a piece cheaper.
    private static var mostItems: Int { 1024 }

    /// The size where the user does not say.
    static func forItems(_ count: Int, workers: Int) -> Int {
        max(1, min(mostItems, count / (max(workers, 1) * piecesPerWorker)))
    }
}
