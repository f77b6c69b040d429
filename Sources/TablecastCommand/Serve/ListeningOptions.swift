import ArgumentParser
import TablecastHummingbird
import WebSocketTransport

/// The listening options of `serve` and `relay`.
struct ListeningOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The TCP port; 0 for any free port. Default \(ServerAddress.defaultPort) (relay: \(RelayCommand.defaultPort)).",
            valueName: "port"
        )
    )
    var port: Int?

    @Option(help: "The address to listen on. An address other than loopback requires tokens or --allow-anonymous.")
    var host = "127.0.0.1"

    @Option(help: "The path of the WebSocket endpoint.")
    var path = ServerAddress.defaultPath

    @Flag(help: "Let any client read and write without a token; with --read-only of serve, read.")
    var allowAnonymous = false

    @Option(
        name: .customLong("allowed-origin"),
        help: ArgumentHelp(
            "A web origin whose pages may connect, in addition to the server's own; repeatable.",
            valueName: "origin"
        )
    )
    var allowedOrigins: [String] = []

    @Option(
        name: .customLong("trusted-proxy"),
        help: ArgumentHelp(
            "A proxy, by address or network, whose X-Forwarded-For or Forwarded header is trusted; repeatable.",
            valueName: "cidr"
        )
    )
    var trustedProxies: [String] = []

    @Option(
        help: ArgumentHelp("A PEM file with the certificate chain, for wss and https.", valueName: "pem-file"),
        completion: .file()
    )
    var tlsCertificate: String?

    @Option(
        help: ArgumentHelp("A PEM file with the certificate's private key.", valueName: "pem-file"),
        completion: .file()
    )
    var tlsKey: String?

    func validate() throws {
        if let port, !(0...65535).contains(port) {
            throw ValidationError("--port \(port) is not between 0 and 65535.")
        }
        try validatePath()
        for origin in allowedOrigins where WebOrigin(origin) == nil {
            throw ValidationError(
                "--allowed-origin '\(origin)' is not a web origin: expected \(WebOrigin.expectation)."
            )
        }
        for proxy in trustedProxies where AddressRange(proxy) == nil {
            throw ValidationError(
                "--trusted-proxy '\(proxy)' is not an address or network: expected \(AddressRange.expectation)."
            )
        }
        guard (tlsCertificate == nil) == (tlsKey == nil) else {
            throw ValidationError("--tls-certificate and --tls-key require each other.")
        }
    }

    private func validatePath() throws {
        guard path.hasPrefix("/"), path != "/", path.utf8.allSatisfy(Self.isPathByte) else {
            throw ValidationError(
                "--path '\(path)' must start with a slash, have at least one more character, and contain only characters valid in a URL path."
            )
        }
        guard !ServiceRoute.isTaken(path) else {
            throw ValidationError("--path '\(path)' is reserved for another endpoint; choose another, such as /ws.")
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
