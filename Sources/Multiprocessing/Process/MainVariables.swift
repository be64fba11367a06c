// SPDX-License-Identifier: Apache-2.0
//
// The variables at the top level of a main.swift are set by `main` itself, which no child runs: a child reads zeros there, and the compiler says nothing. So the first start looks
// for them. In the symbol table such a variable is an object whose mangled name ends in "vp" and that starts as zeros, without what every other global has: a token for its lazy
// initialisation ("Wz") or an accessor ("vau"). One that is zero here as well is of no interest: the child reads the same.

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import Synchronization

/// Warns of variables that children cannot see.
enum MainVariables {
    private static let isChecked = Atomic<Bool>(false)

    /// Looks for such variables once in the program that the user started, on a thread of its own: the symbol table of a large program takes some milliseconds to read.
    static func checkOnce() {
        // Only who is first matters.
        guard !isChecked.exchange(true, ordering: .relaxed), ProcessIdentity.current.parent == nil else { return }
        // Without a thread the program goes unwarned.
        try? Thread.start(name: "mp-check") { warn() }
    }

    private static func warn() {
        let names = find()
        guard !names.isEmpty else { return }
        let list =
            names.count <= 5
            ? names.joined(separator: ", ") : names.prefix(5).joined(separator: ", ") + " and \(names.count - 5) more"
        StandardError.write(
            """
            multiprocessing: warning: top-level variables of main.swift are not set in child processes, which do not run it: \(list). \
            Move the code into a function, make them `static let` of a type, or start the process with .fork.

            """
        )
    }

    /// The names of the variables that are not zero in this process and will be in a child.
    static func find() -> [String] {
        guard
            let base = ImageLookup.ranges.first(where: { ImageLookup.file(ofImage: $0.identity)?.isEmpty == true })?
                .base,
            let table = SymbolTable(path: "/proc/self/exe")
        else { return [] }
        var search = Search(zeroSections: table.zeroSections)
        // Most symbols are functions, and their names are most of what there is to read. They are asked only where there is a doubt, so that the first child, which is on its way meanwhile,
        // need not share the processors with this.
        scan(table) { if $0.isObject { search.note($0) } }
        let doubtful = ForkLock.withGate {
            search.candidates.filter { candidate in
                // In this order: most are zero.
                !isZero(at: base + UInt(candidate.address), size: Int(candidate.size))
                    && !isInitialised(candidate.name, search.initialised)
            }
        }
        guard !doubtful.isEmpty else { return [] }
        scan(table) { if !$0.isObject { search.note($0) } }
        // The code of a type marked @main has no such variables.
        guard !search.hasMainType else { return [] }
        return ForkLock.withGate {
            doubtful.filter { !isInitialised($0.name, search.initialised) }.compactMap { name(of: $0.name) }.sorted()
        }
    }

    /// Calls `body` for each symbol: behind the gate, since nobody may fork while another thread holds a lock of the runtime; but only for some at a time, so that a fork need not wait for all.
    private static func scan(_ table: SymbolTable, _ body: (SymbolTable.Symbol) -> Void) {
        for start in stride(from: 0, to: table.count, by: runLength) {
            ForkLock.withGate { table.forEach(in: start..<start + runLength, body) }
        }
    }

    /// How many symbols are looked at between two moments in which this process may fork.
    private static let runLength = 2048

    /// What is known after some of the symbols.
    private struct Search {
        let zeroSections: Set<Int>
        var candidates: [(name: String, address: UInt64, size: UInt64)] = []
        var initialised: Set<String> = []
        var hasMainType = false

        /// Looks at a symbol.
        mutating func note(_ symbol: SymbolTable.Symbol) {
            guard strncmp(symbol.name, "$s", 2) == 0 else { return }
            let length = strlen(symbol.name)
            func ends(_ suffix: StaticString) -> Bool {
                let count = suffix.utf8CodeUnitCount
                return length > count && memcmp(symbol.name + length - count, suffix.utf8Start, count) == 0
            }
            if symbol.isObject, ends("vp"), zeroSections.contains(symbol.section) {
                candidates.append((String(cString: symbol.name), symbol.address, symbol.size))
            } else if ends("_Wz") || ends("vau") {
                initialised.insert(String(String(cString: symbol.name).dropLast(3)))
            } else if ends("5$mainyyFZ") {
                hasMainType = true
            }
        }
    }

    /// Whether one of the names begins that of the variable: it has a token or an accessor. Looked up by each of its beginnings, of which there are fewer than names.
    static func isInitialised(_ name: String, _ names: Set<String>) -> Bool {
        name.indices.dropFirst().contains { names.contains(String(name[..<$0])) } || names.contains(name)
    }

    /// Whether the memory of a variable of this program is all zeros. Read as it is: another thread may be writing it, and either answer will do.
    private static func isZero(at address: UInt, size: Int) -> Bool {
        guard let pointer = UnsafeRawPointer(bitPattern: address) else { return true }
        return UnsafeRawBufferPointer(start: pointer, count: size).allSatisfy { $0 == 0 }
    }

    /// "Tour.counter : Swift.Int" without module and type.
    private static func name(of symbol: String) -> String? {
        let text = Symbolizer.demangle(symbol)
        guard let qualified = text.split(separator: " ").first, !text.contains(" in ") else { return nil }
        return qualified.split(separator: ".").last.map(String.init)
    }
}
