// swift-tools-version: 6.1
import PackageDescription

// Measured like any application that uses the library: in a separate package, which sees only the public API.
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
