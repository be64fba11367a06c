// SPDX-License-Identifier: Apache-2.0

/// The figures side by side, a line for each metric.
struct Table: CustomStringConvertible {
    /// What is said below the table.
    private static let note =
        "(n×): how many times as long or as much it takes there as here; for rates, how many times as many here"

    private let figures: [Figure]

    /// Creates a table of figures, which are in the order of its lines.
    init(_ figures: [Figure]) {
        self.figures = figures
    }

    /// The lines, with columns as wide as they need to be.
    var description: String {
        let systems = System.allCases.filter { system in figures.contains { $0.system == system } }
        var rows = [["metric", "unit"] + systems.map(\.rawValue)]
        for name in names { rows.append(row(name, systems)) }
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        let lines = rows.map { row in
            row.indices.map { column in
                let space = String(repeating: " ", count: widths[column] - row[column].count)
                return column < 2 ? row[column] + space : space + row[column]
            }.joined(separator: "  ")
        }
        return (lines + ["", Self.note]).joined(separator: "\n")
    }

    /// The names of the figures, each once.
    private var names: [String] {
        var seen: Set<String> = []
        return figures.map(\.name).filter { seen.insert($0).inserted }
    }

    private func row(_ name: String, _ systems: [System]) -> [String] {
        let ofName = figures.filter { $0.name == name }
        let subject = ofName.first { $0.system == .subject }
        let cells = systems.map { system -> String in
            guard let figure = ofName.first(where: { $0.system == system }) else { return "-" }
            guard system != .subject, let subject else { return figure.value.threeDigits }
            return "\(figure.value.threeDigits) (\(Self.ratio(subject, figure))×)"
        }
        return [name, ofName.first?.unit.rawValue ?? ""] + cells
    }

    /// How many times better this package is than a peer.
    static func ratio(_ subject: Figure, _ peer: Figure) -> String {
        let ratio = subject.unit.isRate ? subject.value / peer.value : peer.value / subject.value
        return ratio >= 0.1 && ratio < 1 ? ratio.fixed(2) : ratio.threeDigits
    }
}
