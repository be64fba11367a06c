// swift-tools-version: 6.3

import PackageDescription

let package = Package(
    name: "WordCount",
    dependencies: [
        // In a package of your own: .package(url: "…/swift-multiprocessing", from: "0.1.0")
        .package(name: "swift-multiprocessing", path: "../..")
    ],
    targets: [
        .executableTarget(
            name: "WordCount",
            dependencies: [.product(name: "Multiprocessing", package: "swift-multiprocessing")]
        )
    ],
    swiftLanguageModes: [.v6]
)
