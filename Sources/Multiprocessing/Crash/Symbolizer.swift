// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives

/// Puts places in images into words.
final class Symbolizer {
    private var tables: [UInt64: SymbolTable?] = [:]

    /// Returns "function + offset in image", or as much of it as can be found out.
    func describe(image: UInt64, offset: UInt64) -> String {
        guard image != 0, let file = ImageLookup.file(ofImage: image) else { return "0x" + String(offset, radix: 16) }
        // The program's own link names the running file even after it was replaced.
        let path = file.isEmpty ? "/proc/self/exe" : file
        let name = file.isEmpty ? "the program" : String(file.split(separator: "/").last ?? "")
        let table = tables[image] ?? SymbolTable(path: path)
        tables[image] = .some(table)
        guard let function = table?.function(at: offset) else { return "0x\(String(offset, radix: 16)) in \(name)" }
        return "\(Self.demangle(function.name)) + \(function.offset) in \(name)"
    }

    /// Returns the name as it is written in Swift, or unchanged when it is no Swift name.
    static func demangle(_ name: String) -> String {
        guard let text = mp_swift_demangle(name, name.utf8.count, nil, nil, 0) else { return name }
        defer { free(text) }
        return String(cString: text)
    }
}
