// swift-tools-version: 6.3

import PackageDescription

let package = Package(
    name: "Thumbnails",
    dependencies: [
        // In a package of your own: .package(url: "…/swift-multiprocessing", from: "0.1.0")
        .package(name: "swift-multiprocessing", path: "../..")
    ],
    targets: [
        .systemLibrary(name: "CJPEG", pkgConfig: "libjpeg", providers: [.apt(["libjpeg-dev"])]),
        .executableTarget(
            name: "Thumbnails",
            dependencies: ["CJPEG", .product(name: "Multiprocessing", package: "swift-multiprocessing")]
        ),
    ],
    swiftLanguageModes: [.v6]
)
