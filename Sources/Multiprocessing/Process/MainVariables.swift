// SPDX-License-Identifier: Apache-2.0
//
// The variables at the top level of a main.swift are set by `main` itself, which no child runs: a child reads zeros there, and the compiler says nothing. So the first start looks
// for them. In the symbol table such a variable is an object whose mangled name ends in "vp" and that starts as zeros, without what every other global has: a token for its lazy
// initialisation ("Wz") or an accessor ("vau"). One that is zero here as well is of no interest yet: the child reads the same. `main` may set it later, so later starts look at those again.

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingFunctions
internal import MultiprocessingPrimitives
internal import Synchronization

/// Warns of variables that children cannot see.
enum MainVariables {
    /// A symbol that may be such a variable.
    struct Candidate: Sendable {
        let name: String
        let address: UInt64
        let size: UInt64
    }

    /// How far it is known what there is.
    private enum Knowledge {
        case none
        /// A thread is at it; whether there was another start meanwhile.
        case comes(isAskedAgain: Bool)
        /// These were zero when they were looked at last.
        case zero([Candidate])
    }

    private static let knowledge = PlainMutex(ofProcess: Knowledge.none)

    /// Looks, before a start, for such variables that are not zero and that nobody was warned of, in the program that the user started. On a thread of its own, but for the look at those that are known: the
    /// symbol table of a large program takes some milliseconds to read.
    static func check() {
        guard ProcessIdentity.current.parent == nil else { return }
        let suspects = knowledge.withLock { knowledge -> [Candidate]? in
            switch knowledge {
            case .comes:
                knowledge = .comes(isAskedAgain: true)
                return nil
            case .none:
                knowledge = .comes(isAskedAgain: false)
                return []
            case .zero(let candidates):
                guard let base, candidates.contains(where: { !isZero($0, base) }) else { return nil }
                knowledge = .comes(isAskedAgain: false)
                return candidates
            }
        }
        guard let suspects else { return }
        // Without a thread the program goes unwarned.
        try? Thread.start(name: "mp-check") { warn(suspects) }
    }

    /// Warns of those among the suspects, or all symbols if there are none yet, that are not zero; and of those that were set before another start meanwhile.
    private static func warn(_ suspects: [Candidate]) {
        var suspects = suspects
        while true {
            let (names, zero) = find(suspects)
            tell(names)
            let isOver = knowledge.withLock { knowledge in
                // Only if there is something to name: a program that starts one child after the other would have its symbols read without end.
                if case .comes(isAskedAgain: true) = knowledge, let base, zero.contains(where: { !isZero($0, base) }) {
                    knowledge = .comes(isAskedAgain: false)
                    return false
                }
                knowledge = .zero(zero)
                return true
            }
            if isOver { return }
            suspects = zero
        }
    }

    private static func tell(_ names: [String]) {
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

    /// What the loader added to the addresses of the program's symbols.
    private static let base = ImageLookup.ranges.first { ImageLookup.file(ofImage: $0.identity)?.isEmpty == true }?.base

    /// The names of the variables among the suspects (all symbols if there are none) that are not zero in this process and will be in a child; and what may be others, but is zero.
    private static func find(_ suspects: [Candidate]) -> (names: [String], zero: [Candidate]) {
        guard let base, let table = SymbolTable(path: "/proc/self/exe") else { return ([], []) }
        var search = Search(zeroSections: table.zeroSections)
        // Most symbols are functions, and their names are most of what there is to read. They are asked only where there is a doubt, so that the first child, which is on its way meanwhile,
        // need not share the processors with this.
        scan(table) { if $0.isObject { search.note($0) } }
        let all = suspects.isEmpty ? search.candidates : suspects
        let (zero, doubtful) = ForkLock.withGate {
            // What has a token of its own is no variable of main, whatever it becomes.
            let all = all.filter { !isInitialised($0.name, search.initialised) }
            let zero = all.map { isZero($0, base) }
            return (zip(all, zero).filter(\.1).map(\.0), zip(all, zero).filter { !$0.1 }.map(\.0))
        }
        guard !doubtful.isEmpty else { return ([], zero) }
        scan(table) { if !$0.isObject { search.note($0) } }
        // The code of a type marked @main has no such variables.
        guard !search.hasMainType else { return ([], []) }
        return ForkLock.withGate {
            let found = doubtful.filter { !isInitialised($0.name, search.initialised) }
            return (found.compactMap { name(of: $0.name) }.sorted(), zero)
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
        var candidates: [Candidate] = []
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
                candidates.append(
                    Candidate(name: String(cString: symbol.name), address: symbol.address, size: symbol.size)
                )
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
    private static func isZero(_ candidate: Candidate, _ base: UInt) -> Bool {
        guard let pointer = UnsafeRawPointer(bitPattern: base + UInt(candidate.address)) else { return true }
        return UnsafeRawBufferPointer(start: pointer, count: Int(candidate.size)).allSatisfy { $0 == 0 }
    }

    /// "Tour.counter : Swift.Int" without module and type.
    private static func name(of symbol: String) -> String? {
        let text = Symbolizer.demangle(symbol)
        guard let qualified = text.split(separator: " ").first, !text.contains(" in ") else { return nil }
        return qualified.split(separator: ".").last.map(String.init)
    }
}
