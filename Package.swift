// swift-tools-version: 6.3

import PackageDescription

/// The language features every Swift target of this package is built with.
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

let package = Package(
    name: "swift-multiprocessing",
    products: [
        .library(name: "Multiprocessing", targets: ["Multiprocessing"]),
        .library(name: "MultiprocessingFoundation", targets: ["MultiprocessingFoundation"]),
        .executable(name: "Tour", targets: ["Tour"]),
    ],
    traits: [
        .trait(name: "Logging", description: "Lets the package's log go to a logger of swift-log."),
        .trait(
            name: "Crypto",
            description: "Proves the keys of listeners by swift-crypto instead of the system's libcrypto."
        ),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", "3.0.0"..<"5.0.0"),
    ],
    targets: [
        // The rooms of the house, lowest first: a room knows only the rooms below it.
        .target(name: "CMultiprocessing"),
        .target(name: "MultiprocessingPrimitives", dependencies: ["CMultiprocessing"], swiftSettings: settings),
        .target(
            name: "MultiprocessingChannels",
            dependencies: ["CMultiprocessing", "MultiprocessingPrimitives"],
            swiftSettings: settings
        ),
        .target(
            name: "MultiprocessingWireCoding",
            dependencies: ["CMultiprocessing", "MultiprocessingPrimitives"],
            swiftSettings: settings
        ),
        .target(
            name: "MultiprocessingFunctions",
            dependencies: ["CMultiprocessing", "MultiprocessingPrimitives", "MultiprocessingWireCoding"],
            swiftSettings: settings
        ),
        .target(
            name: "Multiprocessing",
            dependencies: [
                "CMultiprocessing",
                "MultiprocessingPrimitives",
                "MultiprocessingChannels",
                "MultiprocessingWireCoding",
                "MultiprocessingFunctions",
                .product(name: "Logging", package: "swift-log", condition: .when(traits: ["Logging"])),
                .product(name: "Crypto", package: "swift-crypto", condition: .when(traits: ["Crypto"])),
            ],
            // Spans of shared memory are tied to the object that keeps it mapped.
            swiftSettings: settings + [.enableExperimentalFeature("Lifetimes")]
        ),
        // Foundation's value types in bulk, for programs that link Foundation anyway.
        .target(
            name: "MultiprocessingFoundation",
            dependencies: ["MultiprocessingWireCoding"],
            swiftSettings: settings
        ),
        .executableTarget(name: "Tour", dependencies: ["Multiprocessing"], swiftSettings: settings),
        // A program that the tests start, for what concerns whole programs.
        .executableTarget(
            name: "ProcessFixture",
            dependencies: ["Multiprocessing"],
            path: "Tests/ProcessFixture",
            swiftSettings: settings
        ),
        // Everything at once, while random processes are killed.
        .executableTarget(
            name: "Chaos",
            dependencies: ["Multiprocessing"],
            path: "Tests/Chaos",
            swiftSettings: settings
        ),
        .target(name: "CLaboratory", path: "Tests/CLaboratory"),
        // Processes for tests that fork and kill.
        .target(
            name: "Laboratory",
            dependencies: ["CLaboratory", "CMultiprocessing", "Multiprocessing", "MultiprocessingPrimitives"],
            path: "Tests/Laboratory",
            swiftSettings: settings
        ),
        .testTarget(
            name: "WireCodingTests",
            // The uppermost room, to decode hostile bytes in a process that can have little memory.
            dependencies: ["Multiprocessing", "MultiprocessingWireCoding", "MultiprocessingFoundation"],
            swiftSettings: settings
        ),
        .testTarget(
            name: "PrimitivesTests",
            dependencies: ["CLaboratory", "CMultiprocessing", "Laboratory", "MultiprocessingPrimitives"],
            swiftSettings: settings
        ),
        .testTarget(
            name: "ChannelsTests",
            dependencies: ["CMultiprocessing", "Laboratory", "MultiprocessingChannels", "MultiprocessingPrimitives"],
            swiftSettings: settings
        ),
        .testTarget(
            name: "FunctionsTests",
            // The uppermost room, to call functions in other processes.
            dependencies: [
                "CMultiprocessing", "Multiprocessing", "MultiprocessingFunctions", "MultiprocessingWireCoding",
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "MultiprocessingTests",
            dependencies: [
                "CLaboratory", "CMultiprocessing", "Laboratory", "Multiprocessing", "MultiprocessingFunctions",
                "MultiprocessingPrimitives", "MultiprocessingWireCoding",
            ],
            swiftSettings: settings
        ),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .gnu11
)
