// SPDX-License-Identifier: Apache-2.0

internal import Measuring
internal import Multiprocessing

/// How long it takes to start a child that does nothing and to see its end, one child after the other.
enum StartMetrics {
    /// The pause in which a spare gets ready.
    private static let pause: Int64 = 3_000_000

    /// The metrics of this group.
    static let all = [
        Metric(
            "start.join.forkserver",
            "start and join a child, warm server, no spare",
            unit: .microseconds,
            kind: .operation,
            peers: [.cpython, .limits]
        ) { context in
            try ForkServer.setSpares(0)
            return try context.sampling.times { try startAndJoin(.forkServer) }
        },
        Metric(
            "start.join.forkserver.spare",
            "the same with a spare ready, after a pause of 3 ms",
            unit: .microseconds,
            kind: .operation,
            peers: [.cpython, .limits]
        ) { context in
            try context.sampling.times(pause: pause) { try startAndJoin(.forkServer) }
        },
        Metric(
            "start.join.spawn",
            "the executable anew for each child; limit: an exec of the same executable",
            unit: .microseconds,
            kind: .operation,
            peers: [.cpython, .limits]
        ) { context in
            try context.sampling.times { try startAndJoin(.spawn) }
        },
        Metric(
            "start.join.fork",
            "a copy of the calling process for each child",
            unit: .microseconds,
            kind: .operation,
            peers: [.cpython, .limits]
        ) { context in
            try context.sampling.times { try startAndJoin(.fork) }
        },
        Metric(
            "start.cold",
            "from the first statement of main to the end of the first child; limit: an exec and a fork",
            unit: .microseconds,
            kind: .operation,
            rounds: 15,
            quickRounds: 5,
            peers: [.cpython, .limits]
        ) { context in
            try startAndJoin(.forkServer)
            return [Double(Clock.now - context.firstStatement)]
        },
    ]

    private static func startAndJoin(_ method: StartMethod) throws {
        let process = ChildProcess(startMethod: method) {}
        try process.start()
        try process.join()
        guard process.exitCode == 0 else { throw MeasuringError("a child ended badly: \(process)") }
    }
}
