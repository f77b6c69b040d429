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
