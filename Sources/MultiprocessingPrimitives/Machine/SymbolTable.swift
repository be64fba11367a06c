// SPDX-License-Identifier: Apache-2.0
//
// The symbols of an ELF file (System V ABI, "Symbol Table"; 64 bits, little-endian), from the section `.symtab` that the linker writes unless told to strip. Offsets used:
//
//   file      40 section headers: 8 bytes   58 size of one: 2   60 number: 2
//   section    4 type (2: symbols)   24 place in the file   32 size   40 index of the section with the names
//   symbol     0 name: 4 bytes   4 info (low 4 bits: 1 object, 2 function, 6 thread-local)   6 section: 2   8 address: 8   16 size: 8

internal import Glibc

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

    private let file: UnsafeRawBufferPointer
    private let symbols: Range<Int>
    private let names: Range<Int>
    /// The sections that take no room in the file, and so start as zeros (type 8).
    package let zeroSections: Set<Int>

    /// Maps the file and finds its symbols. Nil when it is no such file or was stripped.
    package init?(path: String) {
        guard let descriptor = try? OwnedDescriptor(checking: open(path, O_RDONLY | O_CLOEXEC), "opening \(path)")
        else { return nil }
        var status = stat()
        guard fstat(descriptor.number, &status) == 0, status.st_size > 64 else { return nil }
        guard let address = mmap(nil, Int(status.st_size), PROT_READ, MAP_PRIVATE, descriptor.number, 0),
            address != MAP_FAILED
        else { return nil }
        let file = UnsafeRawBufferPointer(start: address, count: Int(status.st_size))
        self.file = file

        let sections = Int(clamping: file.loadUnaligned(fromByteOffset: 40, as: UInt64.self))
        let stride = Int(file.loadUnaligned(fromByteOffset: 58, as: UInt16.self))
        let count = Int(file.loadUnaligned(fromByteOffset: 60, as: UInt16.self))
        var table: (symbols: Range<Int>, names: Range<Int>)?
        var zeroSections: Set<Int> = []
        if stride >= 64, sections <= file.count - stride * count {
            func range(_ index: Int) -> Range<Int>? {
                let start = file.loadUnaligned(fromByteOffset: sections + index * stride + 24, as: UInt64.self)
                let size = file.loadUnaligned(fromByteOffset: sections + index * stride + 32, as: UInt64.self)
                guard start <= UInt64(file.count), size <= UInt64(file.count) - start else { return nil }
                return Int(start)..<Int(start + size)
            }
            for index in 0..<count {
                let type = file.loadUnaligned(fromByteOffset: sections + index * stride + 4, as: UInt32.self)
                if type == 8 { zeroSections.insert(index) }
                let link = Int(file.loadUnaligned(fromByteOffset: sections + index * stride + 40, as: UInt32.self))
                if type == 2, link < count, let symbols = range(index), let names = range(link), !names.isEmpty,
                    file[names.upperBound - 1] == 0
                {
                    table = (symbols, names)
                }
            }
        }
        self.zeroSections = zeroSections
        symbols = table?.symbols ?? 0..<0
        names = table?.names ?? 0..<0
        if table == nil { return nil }
    }

    deinit {
        munmap(UnsafeMutableRawPointer(mutating: file.baseAddress), file.count)
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
        let name = Int(file.loadUnaligned(fromByteOffset: place, as: UInt32.self))
        guard name < names.count, let base = file.baseAddress else { return nil }
        let kind = file[place + 4] & 0xf
        return Symbol(
            name: (base + names.lowerBound + name).assumingMemoryBound(to: CChar.self),
            address: file.loadUnaligned(fromByteOffset: place + 8, as: UInt64.self),
            size: file.loadUnaligned(fromByteOffset: place + 16, as: UInt64.self),
            isFunction: kind == 2,
            isObject: kind == 1,
            isThreadLocal: kind == 6,
            section: Int(file.loadUnaligned(fromByteOffset: place + 6, as: UInt16.self))
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
