// swift-tools-version: 6.0

import PackageDescription

// `native/` holds what scripts/build-swift-package makes from the Rust core: the generated Swift,
// the C headers with their module map, and the library. None of it is checked in.
#if os(Linux)
    let ffi: Target = .systemLibrary(name: "SkylineFFI", path: "native/SkylineFFI")
    let nativeLibrary: [LinkerSetting] = [
        // SwiftPM has no other way to name a static library on Linux before Swift 6.2. It allows
        // unsafe flags in packages that are taken from a folder, and this one is.
        .unsafeFlags(["-L\(Context.packageDirectory)/native/lib"]),
        .linkedLibrary("skyline"),
        .linkedLibrary("m"),
    ]
#else
    // Made by scripts/build-swift-xcframework on a Mac; not built by CI.
    let ffi: Target = .binaryTarget(name: "SkylineFFI", path: "native/SkylineFFI.xcframework")
    let nativeLibrary: [LinkerSetting] = [
        .linkedFramework("CoreFoundation"),
        .linkedFramework("IOKit", .when(platforms: [.macOS])),
        .linkedFramework("Security"),
        .linkedFramework("SystemConfiguration"),
    ]
#endif

let package = Package(
    name: "Skyline",
    // The oldest systems that have `Duration`.
    platforms: [.macOS(.v13), .iOS(.v16), .tvOS(.v16), .watchOS(.v9)],
    products: [
        .library(name: "Skyline", targets: ["Skyline"])
    ],
    targets: [
        ffi,
        .target(
            name: "SkylineNative",
            dependencies: ["SkylineFFI"],
            path: "native/SkylineNative",
            linkerSettings: nativeLibrary),
        .target(name: "Skyline", dependencies: ["SkylineFFI", "SkylineNative"]),
        .testTarget(name: "SkylineTests", dependencies: ["Skyline", "SkylineNative"]),
    ],
    swiftLanguageModes: [.v6]
)
