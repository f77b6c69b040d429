// swift-tools-version: 6.1
import PackageDescription

// Measured like any application that uses the library: a package of its own, which sees the public API alone.
let package = Package(
    name: "tablecast-benchmarks",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "tablecast", path: "../.."),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    ],
    targets: [
        .executableTarget(
            name: "fanout-server",
            dependencies: [
                .product(name: "Tablecast", package: "tablecast"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ]
        )
    ],
    swiftLanguageModes: [.v6]
)
