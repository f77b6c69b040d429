// swift-tools-version: 6.1
import Foundation
import PackageDescription

let swiftSettings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioLocks = Target.Dependency.product(name: "NIOConcurrencyHelpers", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")

// `TABLECAST_TRAITS=NATS swift test` is the same as `swift test --traits NATS`.
let defaultTraits = Set(
    (ProcessInfo.processInfo.environment["TABLECAST_TRAITS"] ?? "").split(separator: ",").map(String.init)
)

let package = Package(
    name: "tablecast",
    platforms: [.macOS(.v15)],
    products: [
        // With the modules that declare the types of its interface.
        .library(
            name: "Tablecast",
            targets: [
                "Tablecast", "Broadcast", "ChangeCapture", "LiveQueries", "QueryEngine", "SQLiteConnection",
                "WebSocketTransport", "WireProtocol",
            ]
        ),
        .library(name: "TablecastHummingbird", targets: ["TablecastHummingbird"]),
        // A client of a server, without SQLite.
        .library(name: "TablecastClient", targets: ["TablecastClient", "WireProtocol"]),
        // A watcher of SQLite files, without a network.
        .library(name: "ChangeCapture", targets: ["ChangeCapture", "SQLiteConnection"]),
        // The changes of a server for the clients of another process.
        .library(name: "TablecastRelay", targets: ["TablecastRelay"]),
        .library(name: "TablecastJWT", targets: ["TablecastJWT"]),
        .executable(name: "tablecast", targets: ["TablecastCommand"]),
    ],
    traits: [
        .trait(name: "NATS", description: "Publish to and receive from NATS JetStream; needs libnats-dev."),
        .default(enabledTraits: defaultTraits),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: ["JSON", "YAML"]),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.7.3"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.1"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    ],
    targets: [
        // SQLite: wrapper, capture, queries. Builds and is tested without any network code.
        .systemLibrary(
            name: "CSQLite",
            pkgConfig: "sqlite3",
            providers: [.apt(["libsqlite3-dev"]), .brew(["sqlite3"])]
        ),
        .target(name: "SQLiteConnection", dependencies: ["CSQLite"], swiftSettings: swiftSettings),
        .target(name: "ChangeCapture", dependencies: ["SQLiteConnection"], swiftSettings: swiftSettings),
        .target(
            name: "QueryEngine",
            dependencies: ["SQLiteConnection", "ChangeCapture"],
            swiftSettings: swiftSettings
        ),
        .target(
            name: "LiveQueries",
            dependencies: ["SQLiteConnection", "ChangeCapture"],
            swiftSettings: swiftSettings
        ),

        // The wire: messages, fan-out, WebSocket. Knows no SQLite.
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        // Records in files that survive the process. Knows nothing of what they say.
        .target(name: "StateStore", dependencies: ["CZlib"], swiftSettings: swiftSettings),
        .target(name: "WireProtocol", swiftSettings: swiftSettings),
        .target(name: "Broadcast", dependencies: ["WireProtocol", nioCore, nioLocks], swiftSettings: swiftSettings),
        .target(
            name: "WebSocketTransport",
            dependencies: ["Broadcast", "WireProtocol", "CZlib", nioCore, nioHTTP1, nioPosix],
            swiftSettings: swiftSettings
        ),

        .target(
            name: "TablecastClient",
            dependencies: ["WebSocketTransport", "WireProtocol", nioCore, nioHTTP1, nioPosix, nioSSL],
            swiftSettings: swiftSettings
        ),

        // The web page. A target of its own because embedding its bytes takes seconds, and nothing else should wait.
        .target(
            name: "TablecastWeb",
            exclude: ["Client/package.json"],
            resources: [.embedInCode("Page"), .embedInCode("Client")],
            swiftSettings: swiftSettings
        ),

        // Both together.
        .target(
            name: "Tablecast",
            dependencies: [
                "SQLiteConnection", "ChangeCapture", "QueryEngine", "LiveQueries", "WireProtocol", "Broadcast",
                "StateStore", "WebSocketTransport", nioCore, nioPosix, nioHTTP1, nioSSL, logging,
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ],
            swiftSettings: swiftSettings
        ),
        .target(
            name: "TablecastRelay",
            dependencies: [
                "Tablecast", "TablecastClient", "Broadcast", "ChangeCapture", "LiveQueries", "QueryEngine",
                "WireProtocol",
                nioCore, nioPosix, logging,
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: swiftSettings
        ),
        // NATS JetStream between a source and relays. Without the trait both are empty, and need no library.
        .systemLibrary(name: "CNATS", providers: [.apt(["libnats-dev"]), .brew(["cnats"])]),
        // C handles become Swift ownership.
        .target(
            name: "NATSConnection",
            dependencies: [
                .target(name: "CNATS", condition: .when(traits: ["NATS"])),
                .product(name: "Crypto", package: "swift-crypto", condition: .when(traits: ["NATS"])),
            ],
            swiftSettings: swiftSettings
        ),
        .target(
            name: "TablecastNATS",
            dependencies: [
                "NATSConnection", "Tablecast", "TablecastRelay", "TablecastClient", "Broadcast", "SQLiteConnection",
                "StateStore", "WireProtocol", nioCore, logging,
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: swiftSettings
        ),
        .target(
            name: "TablecastHummingbird",
            dependencies: [
                "Tablecast", "TablecastClient", "TablecastRelay", "LiveQueries", "TablecastWeb", "Broadcast",
                "WebSocketTransport",
                "WireProtocol", nioCore,
                nioHTTP1, nioPosix, nioSSL, logging,
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HummingbirdTLS", package: "hummingbird"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            resources: [.embedInCode("Contract/asyncapi.yaml")],
            swiftSettings: swiftSettings
        ),
        .target(
            name: "TablecastJWT",
            dependencies: [
                "Tablecast", "WireProtocol", nioCore, nioHTTP1, logging,
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "JWTKit", package: "jwt-kit"),
            ],
            swiftSettings: swiftSettings
        ),
        .systemLibrary(name: "CHeap"),
        .executableTarget(
            name: "TablecastCommand",
            dependencies: [
                "CHeap", "Tablecast", "TablecastClient", "TablecastHummingbird", "TablecastRelay", "TablecastJWT",
                .target(name: "NATSConnection", condition: .when(traits: ["NATS"])),
                .target(name: "TablecastNATS", condition: .when(traits: ["NATS"])),
                "ChangeCapture",
                "QueryEngine", "SQLiteConnection", "WebSocketTransport", "WireProtocol", nioCore, nioHTTP1, nioPosix,
                nioSSL, logging,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: swiftSettings
        ),

        // Numbers that a seed determines, for every test and tool.
        .target(name: "RandomSupport", path: "Tests/RandomSupport", swiftSettings: swiftSettings),
        // Random transactions, an independent truth and a replica: for the tests of the capture and of the whole road.
        .target(
            name: "OracleSupport",
            dependencies: ["ChangeCapture", "RandomSupport", "SQLiteConnection"],
            path: "Tests/OracleSupport",
            swiftSettings: swiftSettings
        ),
        // `swift run -c release CaptureOracle 200 5000`: seeds and statements for each.
        .executableTarget(
            name: "CaptureOracle",
            dependencies: ["OracleSupport"],
            path: "Tests/CaptureOracle",
            swiftSettings: swiftSettings
        ),
        // Random queries and transactions, and a replica that is updated only by deltas: for the tests and the program
        // below.
        .target(
            name: "LiveOracleSupport",
            dependencies: ["ChangeCapture", "LiveQueries", "RandomSupport", "SQLiteConnection"],
            path: "Tests/LiveOracleSupport",
            swiftSettings: swiftSettings
        ),
        // `swift run -c release LiveOracle SEED COMMITS`.
        .executableTarget(
            name: "LiveOracle",
            dependencies: ["LiveOracleSupport"],
            path: "Tests/LiveOracle",
            swiftSettings: swiftSettings
        ),
        // Hooks in C that keep nothing: what SQLite itself leaves to the capture.
        .target(name: "PreUpdateFloor", dependencies: ["CSQLite"], path: "Tests/PreUpdateFloor"),
        // `swift run -c release CaptureCost`: what capture costs next to the same statements without it.
        .executableTarget(
            name: "CaptureCost",
            dependencies: ["OracleSupport", "ChangeCapture", "PreUpdateFloor", "SQLiteConnection"],
            path: "Tests/CaptureCost",
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "SQLiteConnectionTests",
            dependencies: ["RandomSupport", "SQLiteConnection"],
            swiftSettings: swiftSettings
        ),
        // A process that writes to a database which the tests watch from another one.
        .executableTarget(
            name: "ForeignWriter",
            dependencies: ["RandomSupport", "SQLiteConnection"],
            path: "Tests/ForeignWriter",
            swiftSettings: swiftSettings
        ),
        // A process that watches one, to be measured and killed.
        .executableTarget(
            name: "WatchProbe",
            dependencies: ["ChangeCapture"],
            path: "Tests/WatchProbe",
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "ChangeCaptureTests",
            dependencies: ["ChangeCapture", "ForeignWriter", "OracleSupport", "RandomSupport", "SQLiteConnection"],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "QueryEngineTests",
            dependencies: ["QueryEngine", "ChangeCapture", "RandomSupport", "SQLiteConnection"],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "LiveQueriesTests",
            dependencies: ["LiveQueries", "ChangeCapture", "LiveOracleSupport", "RandomSupport", "SQLiteConnection"],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "StateStoreTests",
            dependencies: ["StateStore", "RandomSupport"],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "WireProtocolTests",
            dependencies: ["WireProtocol", "RandomSupport"],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "BroadcastTests",
            dependencies: ["Broadcast", "RandomSupport", "WireProtocol", nioCore, nioEmbedded, nioPosix],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "WebSocketTransportTests",
            dependencies: [
                "WebSocketTransport", "Broadcast", "RandomSupport", "WireProtocol", nioCore, nioEmbedded, nioHTTP1,
                nioPosix, nioSSL,
            ],
            swiftSettings: swiftSettings
        ),
        .testTarget(name: "TablecastWebTests", dependencies: ["TablecastWeb"], swiftSettings: swiftSettings),
        // `swift run -c release DeliveryCost`: what DirectSocket saves of a delivery.
        .executableTarget(
            name: "DeliveryCost",
            dependencies: ["Broadcast", "WebSocketTransport", nioCore, nioPosix],
            path: "Tests/DeliveryCost",
            swiftSettings: swiftSettings
        ),
        .executableTarget(
            name: "EmbeddingExample",
            dependencies: ["Tablecast", "TablecastHummingbird", .product(name: "Hummingbird", package: "hummingbird")],
            path: "Tests/EmbeddingExample",
            swiftSettings: swiftSettings
        ),
        .executableTarget(
            name: "EchoServer",
            dependencies: ["WebSocketTransport", nioCore, nioPosix],
            path: "Tests/EchoServer",
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "TablecastTests",
            dependencies: [
                "Tablecast", "TablecastHummingbird", "Broadcast", "ChangeCapture", "LiveQueries", "OracleSupport",
                "QueryEngine", "RandomSupport", "StateStore",
                "SQLiteConnection", "WebSocketTransport", "WireProtocol", nioCore, nioHTTP1, nioPosix, nioSSL,
                logging,
                .product(name: "InMemoryTracing", package: "swift-distributed-tracing"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "TablecastClientTests",
            dependencies: ["TablecastClient", "QueryEngine", "SQLiteConnection", "Tablecast", "WireProtocol"],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "TablecastRelayTests",
            dependencies: ["TablecastRelay", "WireProtocol"],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "TablecastNATSTests",
            dependencies: ["TablecastNATS", "NATSConnection", "TablecastRelay", "WireProtocol"],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "CommandTests",
            dependencies: [
                "Tablecast", "TablecastClient", "TablecastCommand", "QueryEngine", "SQLiteConnection", "WireProtocol",
            ],
            swiftSettings: swiftSettings
        ),
        // Checks the documentation against the code.
        .testTarget(
            name: "DocumentationTests",
            dependencies: [
                "TablecastCommand", "Tablecast", "TablecastClient", "TablecastHummingbird", "TablecastJWT",
                "TablecastRelay", "Broadcast", "ChangeCapture", "QueryEngine", "SQLiteConnection", "WebSocketTransport",
                "WireProtocol", nioCore,
                nioPosix, logging,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: swiftSettings
        ),
    ],
    swiftLanguageModes: [.v6]
)

// `TABLECAST_ONLY=sqlite swift test` builds and tests only the SQLite half, `wire` the network half, `web` the page's
// files: none needs Hummingbird, which takes most of a first build.
let halves: [String: Set<String>] = [
    "sqlite": [
        "CSQLite", "SQLiteConnection", "ChangeCapture", "QueryEngine", "LiveQueries", "RandomSupport", "OracleSupport",
        "LiveOracleSupport", "LiveOracle", "CaptureOracle", "CaptureCost", "PreUpdateFloor", "ForeignWriter",
        "WatchProbe",
    ],
    "wire": [
        "RandomSupport", "CZlib", "StateStore", "WireProtocol", "Broadcast", "WebSocketTransport",
        "DeliveryCost", "EchoServer",
    ],
    "web": ["TablecastWeb"],
]
if let half = halves[ProcessInfo.processInfo.environment["TABLECAST_ONLY"] ?? ""] {
    package.targets.removeAll { target in
        !half.contains(target.isTest ? String(target.name.dropLast("Tests".count)) : target.name)
    }
    package.products = []
    let needed = half.contains("Broadcast") ? ["swift-nio", "swift-nio-ssl"] : []
    package.dependencies.removeAll { dependency in
        guard case .sourceControl(_, let location, _) = dependency.kind else { return false }
        return !needed.contains { location.hasSuffix("/" + $0) }
    }
}
