// SPDX-License-Identifier: Apache-2.0
//
// The symbols of an ELF file (System V ABI, "Symbol Table"; 64 bits, little-endian), from the section `.symtab` (type 2) that the linker writes unless told to strip. Offsets used:
//
//   symbol     0 name: 4 bytes   4 info (low 4 bits: 1 object, 2 function, 6 thread-local)   6 section: 2   8 address: 8   16 size: 8

/// The symbols of one executable or library.
package final class SymbolTable {
    /// A symbol as the file has it.
    package struct Symbol {
        package let name: UnsafePointer<CChar>
        package let address: UInt64
        package let size: UInt64
        package let isFunction: Bool
        package let isObject: Bool
        /// Whether each thread has one; the address is an offset among them.
        package let isThreadLocal: Bool
        package let section: Int
    }

    private let file: ObjectFile
    private let symbols: Range<Int>
    private let names: Range<Int>
    /// The sections that take no room in the file, and so start as zeros (type 8).
    package let zeroSections: Set<Int>

    /// Maps the file and finds its symbols. Nil when it is no such file or was stripped.
    package init?(path: String) {
        guard let file = ObjectFile(path: path) else { return nil }
        self.file = file
        zeroSections = Set(file.sections.indices.filter { file.sections[$0].type == 8 })
        let table = file.sections.last { $0.type == 2 }
        guard let table, let symbols = table.range, file.sections.indices.contains(table.link),
            let names = file.sections[table.link].range, let last = names.last, file.bytes[last] == 0
        else { return nil }
        self.symbols = symbols
        self.names = names
    }

    /// Calls `body` for each symbol; the names are valid as long as the table.
    package func forEach(_ body: (Symbol) -> Void) {
        forEach(in: 0..<count, body)
    }

    /// The number of symbols.
    package var count: Int { symbols.count / 24 }

    /// Calls `body` for some of the symbols.
    package func forEach(in range: Range<Int>, _ body: (Symbol) -> Void) {
        for index in range.clamped(to: 0..<count) {
            if let symbol = symbol(at: symbols.lowerBound + index * 24) { body(symbol) }
        }
    }

    private func symbol(at place: Int) -> Symbol? {
        let name = Int(file.bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self))
        guard name < names.count, let base = file.bytes.baseAddress else { return nil }
        let kind = file.bytes[place + 4] & 0xf
        return Symbol(
            name: (base + names.lowerBound + name).assumingMemoryBound(to: CChar.self),
            address: file.bytes.loadUnaligned(fromByteOffset: place + 8, as: UInt64.self),
            size: file.bytes.loadUnaligned(fromByteOffset: place + 16, as: UInt64.self),
            isFunction: kind == 2,
            isObject: kind == 1,
            isThreadLocal: kind == 6,
            section: Int(file.bytes.loadUnaligned(fromByteOffset: place + 6, as: UInt16.self))
        )
    }

    /// Returns the function that `address` (as the file counts) lies in.
    package func function(at address: UInt64) -> (name: String, offset: UInt64)? {
        var found: Symbol?
        forEach { symbol in
            if symbol.isFunction, symbol.address <= address, address < symbol.address + max(symbol.size, 1) {
                found = symbol
            }
        }
        return found.map { (String(cString: $0.name), address - $0.address) }
    }
}
