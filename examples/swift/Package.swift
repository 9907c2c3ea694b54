// swift-tools-version: 6.0

import PackageDescription

let package = Package(
    name: "quick-start",
    platforms: [.macOS(.v13)],
    dependencies: [
        // Made by scripts/build-swift-package.
        .package(path: "../../target/swift-package/Skyline")
    ],
    targets: [
        .executableTarget(
            name: "quick-start", dependencies: [.product(name: "Skyline", package: "Skyline")])
    ],
    swiftLanguageModes: [.v6]
)
