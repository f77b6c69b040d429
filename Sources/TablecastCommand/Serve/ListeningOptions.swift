import ArgumentParser
import TablecastHummingbird
import WebSocketTransport

/// Where `serve` listens, and to whom.
struct ListeningOptions: ParsableArguments {
    @Option(help: "The TCP port; 0 lets the system choose one.")
    var port = ServerAddress.defaultPort

    @Option(help: "The address to bind. Anything but loopback needs tokens, or --allow-anonymous.")
    var host = "127.0.0.1"

    @Option(help: "The path of the WebSocket.")
    var path = ServerAddress.defaultPath

    @Flag(help: "Serve everyone who can reach the address without a token: read, and unless --read-only, write.")
    var allowAnonymous = false

    @Option(
        name: .customLong("allowed-origin"),
        help: ArgumentHelp(
            "A web origin whose pages may connect, besides the server's own; repeatable.",
            valueName: "origin"
        )
    )
    var allowedOrigins: [String] = []

    @Option(
        name: .customLong("trusted-proxy"),
        help: ArgumentHelp(
            "A proxy, by address or network, whose X-Forwarded-For or Forwarded is believed; repeatable.",
            valueName: "cidr"
        )
    )
    var trustedProxies: [String] = []

    @Option(
        help: ArgumentHelp("A certificate chain in PEM, for wss and https.", valueName: "pem-file"),
        completion: .file()
    )
    var tlsCertificate: String?

    @Option(help: ArgumentHelp("The certificate's private key in PEM.", valueName: "pem-file"), completion: .file())
    var tlsKey: String?

    func validate() throws {
        guard (0...65535).contains(port) else { throw ValidationError("--port \(port) is not between 0 and 65535.") }
        try validatePath()
        for origin in allowedOrigins where WebOrigin(origin) == nil {
            throw ValidationError("--allowed-origin '\(origin)' can be no page's: expected \(WebOrigin.expectation).")
        }
        for proxy in trustedProxies where AddressRange(proxy) == nil {
            throw ValidationError("--trusted-proxy '\(proxy)' is no network: expected \(AddressRange.expectation).")
        }
        guard (tlsCertificate == nil) == (tlsKey == nil) else {
            throw ValidationError("--tls-certificate and --tls-key belong together.")
        }
    }

    private func validatePath() throws {
        guard path.hasPrefix("/"), path != "/", path.utf8.allSatisfy(Self.isPathByte) else {
            throw ValidationError(
                "--path '\(path)' must begin with a slash, name something, and hold only what a path of an address may."
            )
        }
        guard !ServiceRoute.isTaken(path) else {
            throw ValidationError("--path '\(path)' is an address of the service's own; choose another, such as /ws.")
        }
    }

    /// RFC 3986 section 3.3.
    private static func isPathByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: "/-._~!$&'()*+,;=:@%".utf8.contains(byte)
        }
    }
}

/// The bounds of the service that an operator may want to move.
struct LimitOptions: ParsableArguments {
    @Option(help: "How many clients may be connected at a time; more are refused with 503.")
    var maxConnections = 100

    @Option(help: "How often clients are pinged: a duration such as 500ms, 30s, 5m.")
    var heartbeatInterval = DurationArgument(.seconds(30))

    @Option(help: "The largest message taken from a client, in bytes or as 64k, 16M; 1M if left out.")
    var maxMessageBytes: ByteCountArgument?

    @Option(
        help:
            "What may wait for a client that does not read, in bytes or as 64k, 16M; past it the client is closed with 4413. 8M if left out."
    )
    var maxQueuedBytes: ByteCountArgument?

    @Option(
        help:
            "How long a query may wait and run that does not say how long: a duration such as 500ms, 30s, 5m; 30s if left out."
    )
    var queryTimeout: DurationArgument?

    @Option(help: "How many queries may read at the same time, 1 to 64; 4 if left out.")
    var readers: Int?

    @Option(help: "The largest string, blob or row that a query may handle, in bytes or as 64k, 16M; 16M if left out.")
    var maxValueBytes: ByteCountArgument?

    @Option(help: "The memory that one query may take, in bytes or as 64M, 1G; 128M if left out.")
    var maxQueryMemory: ByteCountArgument?

    @Option(
        help:
            "The temporary files that one query may take, in bytes or as 64M, 1G; all together four times as much. 1G if left out."
    )
    var maxTemporaryBytes: ByteCountArgument?

    func validate() throws {
        guard maxConnections > 0 else { throw ValidationError("--max-connections must be at least 1.") }
        guard heartbeatInterval.duration >= .milliseconds(100) else {
            throw ValidationError("--heartbeat-interval must be at least 100ms.")
        }
        if let queryTimeout, queryTimeout.duration < .milliseconds(1) {
            throw ValidationError("--query-timeout must be at least 1ms.")
        }
        if let maxValueBytes, !(1_000...1 << 30).contains(maxValueBytes.bytes) {
            throw ValidationError("--max-value-bytes must be 1000 to 1G.")
        }
        if let maxQueryMemory, maxQueryMemory.bytes < 1 << 20 {
            throw ValidationError("--max-query-memory must be at least 1M.")
        }
        if let readers, !(1...64).contains(readers) { throw ValidationError("--readers must be 1 to 64.") }
    }
}
