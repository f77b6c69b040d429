import ArgumentParser

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
        help: ArgumentHelp("A certificate chain in PEM, for wss and https.", valueName: "pem-file"),
        completion: .file()
    )
    var tlsCertificate: String?

    @Option(help: ArgumentHelp("The certificate's private key in PEM.", valueName: "pem-file"), completion: .file())
    var tlsKey: String?

    func validate() throws {
        guard (0...65535).contains(port) else { throw ValidationError("--port \(port) is not between 0 and 65535.") }
        guard path.hasPrefix("/"), !path.contains("?"), !path.contains("#"), path != "/" else {
            throw ValidationError("--path '\(path)' must begin with a slash, name something, and have no query.")
        }
        guard (tlsCertificate == nil) == (tlsKey == nil) else {
            throw ValidationError("--tls-certificate and --tls-key belong together.")
        }
    }
}
