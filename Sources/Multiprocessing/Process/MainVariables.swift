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
        try? Thread.start(name: "mp-check") { ForkLock.withGate { warn() } }
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
        var candidates: [(name: String, address: UInt64, size: UInt64)] = []
        var initialised: Set<String> = []
        var hasMainType = false
        table.forEach { symbol in
            let length = strlen(symbol.name)
            guard length > 4, symbol.name[0] == UInt8(ascii: "$"), symbol.name[1] == UInt8(ascii: "s") else { return }
            func ends(_ suffix: StaticString) -> Bool {
                length > suffix.utf8CodeUnitCount
                    && memcmp(
                        symbol.name + length - suffix.utf8CodeUnitCount,
                        suffix.utf8Start,
                        suffix.utf8CodeUnitCount
                    ) == 0
            }
            if symbol.isObject, ends("vp"), table.zeroSections.contains(symbol.section) {
                candidates.append((String(cString: symbol.name), symbol.address, symbol.size))
            } else if ends("_Wz") {
                initialised.insert(String(String(cString: symbol.name).dropLast(3)))
            } else if ends("vau") {
                initialised.insert(String(String(cString: symbol.name).dropLast(3)))
            } else if ends("5$mainyyFZ") {
                hasMainType = true
            }
        }
        // The code of a type marked @main has no such variables.
        guard !hasMainType else { return [] }
        return candidates.filter { candidate in
            let isInitialised =
                initialised.contains(String(candidate.name.dropLast(2)))
                || initialised.contains { candidate.name.hasPrefix($0) }
            return !isInitialised && !isZero(at: base + UInt(candidate.address), size: Int(candidate.size))
        }.compactMap { name(of: $0.name) }.sorted()
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
