// swift-tools-version: 6.3

import PackageDescription

/// The language features every Swift target of this package is built with.
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

/// The package that is measured. Its name is given because a checkout may have any.
let subject = Package.Dependency.package(name: "swift-multiprocessing", path: "..")

let package = Package(
    name: "Benchmarks",
    products: [
        .executable(name: "Benchmarks", targets: ["Benchmarks"]),
        .executable(name: "LimitsPeer", targets: ["LimitsPeer"]),
        .executable(name: "BoostPeer", targets: ["BoostPeer"]),
        .executable(name: "FoundationPeer", targets: ["FoundationPeer"]),
    ],
    dependencies: [subject],
    targets: [
        // What Swift cannot say.
        .target(name: "CMeasuring"),
        // What the programs that measure have in common.
        .target(
            name: "Measuring",
            dependencies: [.product(name: "Multiprocessing", package: "swift-multiprocessing")],
            swiftSettings: settings
        ),
        // Loops of a few instructions, whose time doubles where they happen to lie badly in memory: every block of theirs lies well.
        .target(
            name: "Loops",
            dependencies: [.product(name: "Multiprocessing", package: "swift-multiprocessing")],
            swiftSettings: settings + [.unsafeFlags(["-Xllvm", "-align-all-blocks=6"])]
        ),
        // The program that is run, and that measures this package. It must not link Foundation, which doubles the time of an exec.
        .executableTarget(
            name: "Benchmarks",
            dependencies: [
                "CMeasuring", "Loops", "Measuring", .product(name: "Multiprocessing", package: "swift-multiprocessing"),
            ],
            swiftSettings: settings
        ),
        // What the machine can do at all, in C.
        .executableTarget(
            name: "LimitsPeer",
            path: "Peers/limits",
            linkerSettings: [.linkedLibrary("pthread")]
        ),
        // Boost.Interprocess, where its headers are; a program that says so where they are not.
        .executableTarget(
            name: "BoostPeer",
            path: "Peers/boost",
            linkerSettings: [.linkedLibrary("pthread"), .linkedLibrary("rt")]
        ),
        // What needs Foundation: its JSON coders, and this package with its `Data`.
        .executableTarget(
            name: "FoundationPeer",
            dependencies: [
                "Measuring",
                .product(name: "Multiprocessing", package: "swift-multiprocessing"),
                .product(name: "MultiprocessingFoundation", package: "swift-multiprocessing"),
            ],
            path: "Peers/foundation",
            swiftSettings: settings
        ),
        .testTarget(name: "BenchmarksTests", dependencies: ["Benchmarks", "Measuring"], swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .gnu11,
    cxxLanguageStandard: .cxx17
)
