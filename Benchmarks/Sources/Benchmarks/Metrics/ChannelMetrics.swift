// SPDX-License-Identifier: Apache-2.0

internal import Measuring
internal import Multiprocessing

/// Messages between processes: how long one takes there and back, and how many pass in a second.
enum ChannelMetrics {
    /// The metrics of this group.
    static let all =
        [
            roundTrip(8, batch: 100), roundTrip(8, batch: 100, isPinned: true), roundTrip(65_536, batch: 10),
            roundTrip(1_048_576, batch: 1),
        ] + [
            rate(8, count: 200_000, producers: 1) { number in number },
            rate(1024, count: 100_000, producers: 1) { number in [UInt8](repeating: UInt8(number & 0xff), count: 1024)
            },
            rate(65_536, count: 4000, producers: 1) { number in [UInt8](repeating: UInt8(number & 0xff), count: 65_536)
            },
            rate(8, count: 200_000, producers: 2) { number in number },
        ]

    /// Bytes that a child sends back, one message after the other.
    ///
    /// - Parameter isPinned: Whether both sides have one processor together, where watching for the other one only keeps it from running.
    private static func roundTrip(_ size: Int, batch: Int, isPinned: Bool = false) -> Metric {
        Metric(
            "pipe.roundtrip.\(size)" + (isPinned ? ".pinned" : ""),
            "\(size) bytes to a child and back through a connection"
                + (isPinned ? ", both on one processor" : "; limit: watched words and memcpy"),
            unit: .microseconds,
            kind: .operation,
            peers: [.cpython, .limits] + (isPinned ? [] : [.iceoryx2, .mpi4py]),
            isPinned: isPinned
        ) { context in
            let (here, there) = try Connection.pipe()
            let child = ChildProcess(daemon: true) {
                let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
                while let count = try? there.receiveBytes(into: buffer) {
                    try there.sendBytes(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                }
            }
            try child.start()
            there.close()
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
            buffer.initializeMemory(as: UInt8.self, repeating: 7)
            defer { buffer.deallocate() }
            let samples = try context.sampling.times(batch: batch) {
                try here.sendBytes(UnsafeRawBufferPointer(buffer))
                guard try here.receiveBytes(into: buffer) == size else { throw MeasuringError("a short message") }
            }
            here.close()
            try child.join()
            return samples
        }
    }

    /// Messages that as many producers put and as many consumers take, again and again a fixed number.
    private static func rate<Element: Codable & Sendable>(
        _ size: Int,
        count: Int,
        producers: Int,
        _ make: @escaping @Sendable (Int) -> Element
    ) -> Metric {
        let name = producers == 1 ? "queue.rate.\(size)" : "queue.rate.\(producers)p\(producers)c.\(size)"
        return Metric(
            name,
            "\(size) bytes a message, \(producers) to put and \(producers) to take; limit: a ring and memcpy",
            unit: .perSecond,
            kind: .rate,
            peers: [.cpython, .limits, .fasterFIFO, .boost]
        ) { context in
            let queue = try Queue<Element>()
            let line = try Barrier(parties: 2 * producers + 1)
            let share = count / producers
            let putting = (0..<producers).map { _ in
                ChildProcess(daemon: true) {
                    let element = make(1)
                    while true {
                        try line.wait()
                        for _ in 0..<share { try queue.put(element) }
                        try line.wait()
                    }
                }
            }
            let taking = (0..<producers).map { _ in
                ChildProcess(daemon: true) {
                    while true {
                        try line.wait()
                        for _ in 0..<share { keep(try queue.get()) }
                        try line.wait()
                    }
                }
            }
            for child in putting + taking { try child.start() }
            let samples = try context.sampling.times {
                try line.wait()
                try line.wait()
            }
            for child in putting + taking { try child.kill() }
            for child in putting + taking { try child.join() }
            return samples.map { Double(count) / $0 * 1e9 }
        }
    }
}
