// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingWireCoding

/// How the items of a map become bytes, and the answers results.
struct PieceCoding<T, R: Codable & Sendable>: Sendable {
    /// What coders are given, for the descriptors of handles.
    typealias UserInfo = [CodingUserInfoKey: Any]

    /// Whether the worker's function is called for arrays of items; otherwise for the arguments of one call, and a piece has one item.
    let isMapping: Bool
    /// Writes the items of one piece.
    let encode: @Sendable ([T], inout WireWriter, UserInfo) throws -> Void
    /// Reads the results of one piece, and adds them to others.
    let decode: @Sendable (inout WireReader, UserInfo, inout [R]) throws -> Void
    /// How items and results are carried whose type allows to copy them as they lie in memory, where pieces are arrays.
    var bulkItems: BulkArrays?
    var bulkResults: BulkArrays?
}

extension PieceCoding where T: Codable & Sendable {
    /// Arrays of items to arrays of results, both in bulk where their type allows.
    static var arrays: PieceCoding {
        var coding = PieceCoding(isMapping: true) { items, writer, userInfo in
            try WireCoding.encode(items, into: &writer, userInfo: userInfo)
        } decode: { reader, userInfo, results in
            results += try WireCoding.decode([R].self, from: &reader, userInfo: userInfo)
        }
        coding.bulkItems = BulkArrays(of: T.self)
        coding.bulkResults = BulkArrays(of: R.self)
        return coding
    }
}

extension PieceCoding {
    /// The arguments of one call to one result.
    static func calls<each A: Codable & Sendable>() -> PieceCoding where T == (repeat each A) {
        PieceCoding(isMapping: false) { items, writer, userInfo in
            for item in items {
                repeat try WireCoding.encode(each item, into: &writer, userInfo: userInfo)
            }
        } decode: { reader, userInfo, results in
            results.append(try WireCoding.decode(R.self, from: &reader, userInfo: userInfo))
        }
    }
}
