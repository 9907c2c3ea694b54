// swift-tools-version: 6.0

import PackageDescription

// Built and run by scripts/swift-bench.
let package = Package(
    name: "benches",
    platforms: [.macOS(.v13)],
    dependencies: [
        // Made by scripts/build-swift-package.
        .package(path: "../../target/swift-package/Skyline")
    ],
    targets: [
        .target(name: "Load"),
        .executableTarget(
            name: "skyline-worker",
            dependencies: ["Load", .product(name: "Skyline", package: "Skyline")]),
        .systemLibrary(name: "OpenSSL"),
        .executableTarget(
            name: "plain-client",
            dependencies: ["Load", "OpenSSL"],
            // By the name of the file: Swift's own libraries need it, so it is there without the
            // package that has the headers and the short name.
            linkerSettings: [.unsafeFlags(["-Xlinker", "-l:libcrypto.so.3"])]),
    ],
    swiftLanguageModes: [.v6]
)
