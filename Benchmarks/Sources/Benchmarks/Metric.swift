// SPDX-License-Identifier: Apache-2.0

internal import Measuring

/// Something that is measured of several systems.
struct Metric: Sendable {
    /// Measures, and returns samples in base units.
    typealias Work = @Sendable (WorkContext) throws -> [Double]

    /// How many samples make one figure.
    enum Kind: Sendable {
        /// Single operations: the median of all samples, and their 99th percentile.
        case operation
        /// One sample a round that chance moves both ways, such as a size or what contention costs: the median.
        case typical
        /// A time by many operations at once, which chance only makes longer: the best round.
        case cost
        /// Operations by time: the best round.
        case rate
    }

    /// The name, which never changes: figures are compared by it from run to run.
    let name: String
    /// What is done, in a few words.
    let summary: String
    /// What the figures are shown in.
    let unit: Unit
    /// How many samples make one figure.
    let kind: Kind
    /// How often every system takes its turn.
    let rounds: Int
    /// How often, when there is little time.
    let quickRounds: Int
    /// The systems that can do it, other than this package.
    let peers: [System]
    /// Whether every program of it has one processor for all its processes.
    let isPinned: Bool
    /// Measures this package in a process of its own. Nil: a program with Foundation in it does.
    let work: Work?
    /// Measures peers that this program has itself, each in a process of its own.
    let others: [System: Work]

    /// Creates a metric.
    init(
        _ name: String,
        _ summary: String,
        unit: Unit,
        kind: Kind,
        rounds: Int = 3,
        quickRounds: Int = 1,
        peers: [System],
        isPinned: Bool = false,
        others: [System: Work] = [:],
        work: Work?
    ) {
        self.name = name
        self.summary = summary
        self.unit = unit
        self.kind = kind
        self.rounds = rounds
        self.quickRounds = quickRounds
        self.peers = System.allCases.filter { peers.contains($0) || others[$0] != nil }
        self.isPinned = isPinned
        self.work = work
        self.others = others
    }
}

/// What the code that measures this package is given.
struct WorkContext: Sendable {
    /// How long to measure.
    let sampling: Sampling
    /// When the first statement of `main` ran.
    let firstStatement: Int64
}

/// What figures are shown in. Programs tell the base unit.
enum Unit: String, Sendable {
    case nanoseconds = "ns"
    case microseconds = "us"
    case kibibytes = "KiB"
    case perSecond = "1/s"
    /// A part of what would be ideal.
    case ofIdeal = "of 1"

    /// The unit of the samples.
    var base: String {
        switch self {
        case .nanoseconds, .microseconds: "ns"
        case .kibibytes: "B"
        case .perSecond, .ofIdeal: rawValue
        }
    }

    /// How many of the base unit make one of this.
    var factor: Double {
        switch self {
        case .nanoseconds, .perSecond, .ofIdeal: 1
        case .microseconds: 1000
        case .kibibytes: 1024
        }
    }

    /// Whether more is better.
    var isRate: Bool { self == .perSecond || self == .ofIdeal }
}
