// swift-tools-version: 6.0

import PackageDescription

// Stands beside the laid-out package and knows nothing else of the repository: see
// scripts/test-swift.
let package = Package(
    name: "consumer",
    platforms: [.macOS(.v13)],
    dependencies: [.package(path: "../Skyline")],
    targets: [
        .executableTarget(
            name: "consumer", dependencies: [.product(name: "Skyline", package: "Skyline")])
    ],
    swiftLanguageModes: [.v6]
)
