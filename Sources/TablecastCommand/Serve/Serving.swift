import ArgumentParser
import Hummingbird
import Logging
import NIOCore
import Tablecast
import TablecastHummingbird

/// What `serve` and `relay` have in common.
struct Serving {
    let access: AccessOptions
    let address: ListeningOptions

    typealias Server = TablecastHTTPServer<RouterResponder<BasicRequestContext>>

    /// What SIGHUP reloads.
    func reloadableSources(
        _ tokens: ReloadableAuthenticator?,
        _ clients: WebSocketServer,
        _ server: Server,
        _ logger: Logger
    ) -> [(name: String, reload: @Sendable () async throws -> Void)] {
        var sources: [(name: String, reload: @Sendable () async throws -> Void)] = []
        let access = access
        if let tokens, access.isReloadable {
            sources.append(
                (
                    "tokens",
                    {
                        let next = try await access.authenticator(requiresKeys: true, logger: logger)
                        guard let authenticator = next else { return }
                        tokens.replace(with: authenticator)
                        await clients.recheckTokens()
                    }
                )
            )
        }
        if address.tlsCertificate != nil { sources.append(("certificate and key", { try server.reloadTLS() })) }
        return sources
    }

    /// Prints the banner, and warns of an open address.
    ///
    /// - Parameters:
    ///   - activity: what the process does, as in `serves shop.db`.
    ///   - risk: what any client may do: `read the database`.
    func announce(_ activity: String, port: Int, risk: String) throws(CommandFailure) {
        let palette = Terminal.output.palette
        let title = "\(palette(.bold, "tablecast \(TablecastVersion.current)")) \(activity)\n"
        // A disconnected reader does not need the banner.
        _ = try Terminal.output.write(title + banner(port: port, palette))
        warnIfOpen(risk: risk)
    }

    /// The URLs and the access, as lines of the banner.
    private func banner(port: Int, _ palette: Palette) -> String {
        let host = address.host.contains(":") ? "[\(address.host)]" : address.host
        let secure = address.tlsCertificate == nil ? "" : "s"
        return """
              page       \(palette(.cyan, "http\(secure)://\(host):\(port)"))
              WebSocket  \(palette(.cyan, "ws\(secure)://\(host):\(port)\(address.path)"))
              access     \(accessSummary)

            """
    }

    private var accessSummary: String {
        if access.isConfigured { return "token required" }
        let clients = ServerAddress.isLoopback(address.host) ? "local clients" : "any client"
        return "\(clients), no token required"
    }

    /// Warns of an address that other machines can reach without a token.
    ///
    /// - Parameter risk: what any client may do: `read the database`.
    private func warnIfOpen(risk: String) {
        guard !access.isConfigured, !ServerAddress.isLoopback(address.host) else { return }
        Terminal.error.note("warning: any client that can reach \(address.host) may \(risk); --tokens requires a token")
    }

    /// Without enough descriptors, the connections of clients could prevent files from being opened.
    static func requireDescriptors(_ configuration: ServerConfiguration, reserved: Int, limit: Int) throws {
        var smallest = configuration
        smallest.maxSockets = 0
        let needed = smallest.maxOpenSockets + reserved
        guard needed > limit else { return }
        throw CommandFailure(
            .usage,
            "--max-connections \(configuration.maxConnections) needs \(needed) file descriptors, and the limit of this process is \(limit)",
            advice: "Raise the limit (ulimit -n, LimitNOFILE= of systemd), or lower --max-connections."
        )
    }

    /// The failure of an HTTP server.
    static func failure(_ error: any Error, _ configuration: ServerConfiguration) -> CommandFailure {
        switch error {
        case let error as CommandFailure: error
        case let error as TLSFilesError:
            CommandFailure(.noInput, "\(error)", advice: "Expected PEM files that this user can read.")
        case let error as IOError:
            .binding(host: configuration.host, port: configuration.port, errno: error.errnoCode)
        case is SocketAddressError.UnknownHost:
            CommandFailure(
                .osError,
                "unknown host '\(configuration.host)'",
                advice: "Choose an address of this machine with --host."
            )
        default:
            CommandFailure(.software, "the server failed: \(error)")
        }
    }
}

extension ListeningOptions {
    /// - Throws: `ValidationError` for limits that `validate()` refuses too.
    func configuration(defaultPort: Int, limits: LimitOptions) throws -> ServerConfiguration {
        var configuration = ServerConfiguration()
        configuration.limits = try limits.limits()
        configuration.host = host
        configuration.port = port ?? defaultPort
        configuration.path = path
        configuration.trustedProxies = trustedProxies
        if let certificate = tlsCertificate, let key = tlsKey {
            configuration.tls = .init(certificateChain: certificate, privateKey: key)
        }
        if !allowedOrigins.isEmpty { configuration.origins = .sameAnd(allowedOrigins) }
        return configuration
    }

    /// - Parameter risk: what any client that can reach the address may do without a token.
    func validate(_ access: AccessOptions, risk: String) throws {
        try validate()
        if access.isConfigured {
            guard !allowAnonymous else {
                throw ValidationError("--allow-anonymous cannot be combined with tokens.")
            }
        } else if !allowAnonymous, !ServerAddress.isLoopback(host) {
            throw ValidationError(
                """
                --host \(host) would let any client that can reach it \(risk).
                Require tokens with --tokens, allow this with --allow-anonymous, or listen on 127.0.0.1.
                """
            )
        }
    }
}

extension LoggingOptions {
    func makeLogger(_ level: LogLevel) -> Logger {
        let format = logFormat
        LoggingSystem.bootstrap { label in
            switch format {
            case .json: ReloadableLogHandler(JSONLogHandler(label: label, level: level.value), level: level)
            case .text:
                ReloadableLogHandler(PrintableLogHandler(StreamLogHandler.standardError(label: label)), level: level)
            }
        }
        return Logger(label: "tablecast")
    }
}
