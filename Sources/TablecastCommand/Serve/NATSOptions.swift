import ArgumentParser

/// The options of `serve` and `relay` for a stream of NATS JetStream.
struct NATSOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            Publish to (serve) or receive from (relay) a stream of NATS JetStream at this URL: nats://host:4222, tls://host; those of a \
            cluster separated by commas.
            """,
            discussion: "Only in a program that was built with the package trait NATS.",
            valueName: "url"
        )
    )
    var nats: String?

    @Option(
        help: ArgumentHelp(
            "The name of the stream, one for each database; serve creates it if it does not exist. Default tablecast.",
            valueName: "name"
        )
    )
    var natsStream: String?

    @Option(
        help: ArgumentHelp(
            "The credentials for the broker: a file with a JWT and a seed, as nsc writes it.",
            valueName: "file"
        ),
        completion: .file(extensions: ["creds"])
    )
    var natsCredentials: String?

    @Option(
        help: ArgumentHelp(
            "The key for the broker instead of credentials: a file with the seed of an nkey, SU…, as nk writes it.",
            valueName: "file"
        ),
        completion: .file(extensions: ["nk"])
    )
    var natsNkey: String?

    @Option(
        help: ArgumentHelp("The certificates that are trusted for the broker, in PEM.", valueName: "pem-file"),
        completion: .file(extensions: ["pem"])
    )
    var natsCa: String?

    @Option(
        help: ArgumentHelp(
            "The certificate for the broker, in PEM, with its key or with --nats-key.",
            valueName: "pem-file"
        ),
        completion: .file(extensions: ["pem"])
    )
    var natsCertificate: String?

    @Option(
        help: ArgumentHelp("The private key of --nats-certificate, in PEM.", valueName: "pem-file"),
        completion: .file(extensions: ["pem"])
    )
    var natsKey: String?

    /// The options that name files.
    private var files: [(option: String, path: String?)] {
        [
            ("--nats-credentials", natsCredentials), ("--nats-nkey", natsNkey), ("--nats-ca", natsCa),
            ("--nats-certificate", natsCertificate), ("--nats-key", natsKey),
        ]
    }

    func validate() throws {
        guard let nats else {
            let others = [("--nats-stream", natsStream)] + files
            if let (name, _) = others.first(where: { $0.1 != nil }) {
                throw ValidationError("\(name) requires --nats with the URL of the broker.")
            }
            return
        }
        #if NATS
            try check(nats)
        #else
            throw ValidationError(
                "--nats: this program was built without NATS. Build it with: swift build -c release --traits NATS (needs libnats-dev)."
            )
        #endif
    }
}

#if NATS
    import NATSConnection
    import Tablecast
    import TablecastNATS
    import TablecastRelay

    #if canImport(Glibc)
        import Glibc
    #elseif canImport(Musl)
        import Musl
    #elseif canImport(Darwin)
        import Darwin
    #endif

    extension NATSOptions {
        private static let schemes = ["nats://", "tls://"]

        private func check(_ nats: String) throws {
            for url in nats.split(separator: ",", omittingEmptySubsequences: false) {
                guard let scheme = Self.schemes.first(where: url.hasPrefix), url.count > scheme.count else {
                    throw ValidationError(
                        "--nats '\(url)' is not the URL of a broker: expected nats://host:4222 or tls://host:4222, several separated by commas."
                    )
                }
            }
            if let natsStream, StreamName(natsStream) == nil {
                throw ValidationError("--nats-stream '\(natsStream)': expected 1 to 64 letters, digits, - and _.")
            }
            if natsNkey != nil, natsCredentials != nil {
                throw ValidationError(
                    "--nats-nkey and --nats-credentials name two users for one connection: set one of them."
                )
            }
            if natsKey != nil, natsCertificate == nil {
                throw ValidationError("--nats-key requires --nats-certificate.")
            }
        }

        /// Nil without `--nats`.
        ///
        /// - Throws: when a file cannot be read, which the library reports as another failure.
        func address() throws(CommandFailure) -> NATSAddress? {
            guard let nats else { return nil }
            for case (let option, let file?) in files where access(file, R_OK) != 0 {
                throw CommandFailure(.noInput, "\(option): '\(file)' cannot be read: \(SystemError.message())")
            }
            var address = NATSAddress(urls: nats.split(separator: ",").map { String($0) })
            address.credentialsFile = natsCredentials
            address.nkeyFile = natsNkey
            address.certificateAuthorityFile = natsCa
            address.certificateFile = natsCertificate
            address.keyFile = natsKey
            return address
        }

        var stream: StreamName { natsStream.flatMap { StreamName($0) } ?? .standard }
    }

    extension CommandFailure {
        /// A stream cannot be used.
        init(_ error: StreamError, at address: NATSAddress) {
            let status: ExitReason
            var advice: String?
            switch error {
            case .broker(let error):
                switch error.kind {
                case .unauthorized, .notPermitted:
                    status = .noPermission
                    advice =
                        "Set the credentials with --nats-credentials or --nats-nkey, or in the URL as nats://name:password@host."
                case .invalidOption: status = .noInput
                case .tls:
                    status = .noPermission
                    advice = "Name the certificates that are trusted with --nats-ca."
                case .noJetStream:
                    status = .unavailable
                    advice = "Enable JetStream for the account: jetstream {} in the broker's configuration."
                case .unreachable, .notFound, .other: status = .unavailable
                }
            case .refused, .noStream: status = .unavailable
            case .otherPublisher:
                status = .temporaryFailure
                advice = "Stop it, or choose another stream with --nats-stream."
            case .otherDatabase:
                status = .usage
                advice = "Choose another stream with --nats-stream, or delete this one."
            case .otherStream:
                status = .usage
                advice = "Choose another name with --nats-stream."
            case .versionDiffers: status = .protocolError
            }
            self.init(status, "\(address): \(error)", advice: advice)
        }
    }
#endif
