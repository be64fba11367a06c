// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

/// The calls that a crashed process was in, put into words when somebody asks: whoever catches an error need not pay for what he does not read.
final class Backtrace: Sendable {
    /// Not in words, all of them.
    let frames: [CrashReport.Frame]
    private let words = PlainMutex<[String]?>(nil)

    /// Keeps the frames of a report; without one there are none.
    init(_ report: CrashReport?) {
        frames = report?.frames ?? []
    }

    /// Keeps frames that were told in another way than by a report.
    init(frames: [CrashReport.Frame]) {
        self.frames = frames
    }

    /// The frames in words, down to where the package called the body. Reads the symbol tables of the images at the first call.
    var lines: [String] {
        words.withLock { words in
            if let words { return words }
            let made = describe()
            words = made
            return made
        }
    }

    private func describe() -> [String] {
        let symbolizer = Symbolizer()
        var lines: [String] = []
        for frame in frames {
            let line = symbolizer.describe(image: frame.image, offset: frame.offset)
            if Self.isOwn(line), !lines.isEmpty { break }
            lines.append(line)
        }
        return lines
    }

    /// Whether a frame is of the code that calls bodies.
    private static func isOwn(_ line: String) -> Bool {
        line.contains(" MultiprocessingFunctions.Received") || line.contains("Multiprocessing.ChildMain")
            || line.contains("Multiprocessing.Hosted")
    }
}

extension Backtrace: Codable {
    /// Reads the places that another process of this build has written.
    convenience init(from decoder: any Decoder) throws {
        let numbers = try decoder.singleValueContainer().decode([UInt64].self)
        self.init(frames: stride(from: 0, to: numbers.count - 1, by: 2).map { (numbers[$0], numbers[$0 + 1]) })
    }

    /// Writes the places, image and offset in turn; they become words where somebody asks for those.
    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(frames.flatMap { [$0.image, $0.offset] })
    }
}

extension Backtrace: Hashable {
    /// Compares the places, which are the same in all processes of one build.
    static func == (a: Backtrace, b: Backtrace) -> Bool {
        a.frames.elementsEqual(b.frames) { $0.image == $1.image && $0.offset == $1.offset }
    }

    /// Mixes in the places.
    func hash(into hasher: inout Hasher) {
        for frame in frames {
            hasher.combine(frame.image)
            hasher.combine(frame.offset)
        }
    }
}
