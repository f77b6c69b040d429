import ArgumentParser
import Hummingbird
import Logging
import ServiceLifecycle
import Tablecast
import TablecastClient
import TablecastHummingbird
import TablecastRelay
import UnixSignals
import WireProtocol

#if NATS
    import TablecastNATS
#endif

struct RelayCommand: AsyncParsableCommand {
    static let defaultPort = 3002

    static let configuration = CommandConfiguration(
        commandName: "relay",
        abstract: "Serve the changes of another server to clients of this one.",
        usage: """
            tablecast relay ws://db.example.com:3001
            tablecast relay :3001 --port 8080
            tablecast relay wss://a.example.com wss://b.example.com --wait
            tablecast relay --nats nats://broker.example.com ws://db.example.com:3001
            """,
        discussion: """
            Receives every commit over one connection, and serves subscriptions, filters, event streams and resuming like the \
            server itself. Positions are the same everywhere, so that a client can resume at any relay. Several addresses of \
            the same database are tried in turn. A relay can be the source of other relays.

            While the source is away, clients stay connected. Commits that the relay missed are never skipped silently: its \
            clients are notified with 'recovered: false'.

            With --nats it receives the commits from a stream of NATS JetStream, to which 'serve --nats' publishes; the server, if \
            one is named, only answers requests.

            Queries, snapshots, live queries and the list of tables are answered by the source, with the rights of the client. \
            For clients with tokens this needs a token with the role relay.

            \(ExitReason.helpText)
            """
    )

    @Argument(
        help: ArgumentHelp(
            "The address of the server, or several of servers and relays of the same database.",
            valueName: "server"
        )
    )
    var sources: [String] = []

    @Option(
        help: ArgumentHelp(
            "The access token for the source; by default that in TABLECAST_UPSTREAM_TOKEN, which other users of this machine cannot see.",
            valueName: "token"
        )
    )
    var upstreamToken: String?

    @Flag(help: "Wait for a source that cannot be reached at the start.")
    var wait = false

    @Option(
        help: ArgumentHelp(
            "The interval of pings to the source, which is given up after two without an answer: a duration such as 500ms, 10s.",
            valueName: "duration"
        )
    )
    var upstreamHeartbeat = DurationArgument(.seconds(10))

    @Flag(help: "Accept any TLS certificate of the source, for tests with a self-signed one.")
    var insecure = false

    @Option(
        help: ArgumentHelp(
            "A JSON or YAML file with these options in camel case, such as {\"maxConnections\": 500}.",
            discussion:
                "Environment variables (TABLECAST_MAX_CONNECTIONS) override the file; the command line overrides both. The token for the source is set in neither.",
            valueName: "file"
        ),
        completion: .file(extensions: ["json", "yaml", "yml"])
    )
    var config: String?

    @OptionGroup(title: "Listening") var address: ListeningOptions
    @OptionGroup(title: "Access control") var access: AccessOptions
    @OptionGroup(title: "NATS") var nats: NATSOptions
    @OptionGroup(title: "Limits") var limits: LimitOptions
    @OptionGroup(title: "Logging") var logging: LoggingOptions

    static let tokenVariable = "TABLECAST_UPSTREAM_TOKEN"
    /// What any client may do without tokens.
    private static let risk = "read the database's changes"

    func validate() throws {
        guard nats.nats != nil || !sources.isEmpty else {
            throw ValidationError("Name the server whose changes are relayed, such as ws://db.example.com:3001.")
        }
        guard nats.nats == nil || sources.count <= 1 else {
            throw ValidationError("With --nats name at most one server, which answers queries and snapshots.")
        }
        try address.validate(access, risk: Self.risk)
        if let option = limits.optionsOfQueries.first {
            throw ValidationError("\(option) has no effect on a relay: queries run at the source. Set it there.")
        }
        guard upstreamHeartbeat.duration > .zero else { throw ValidationError("--upstream-heartbeat must not be 0.") }
        guard bearerToken?.isEmpty != true else {
            throw ValidationError("The token for the source is empty: omit it if the source requires no token.")
        }
        try ConnectionOptions.checkCharacters(ofToken: bearerToken)
    }

    private var bearerToken: String? { upstreamToken ?? Environment.secret(Self.tokenVariable) }
}

extension RelayCommand {
    func run() async throws {
        try await reportingFailure {
            Reloading.ignoreSignals()
            let level = LogLevel(logging.logLevel)
            let logger = logging.makeLogger(level)
            let maxDescriptors = Descriptors.raiseLimit()
            var configuration = try address.configuration(defaultPort: Self.defaultPort, limits: limits)
            try Serving.requireDescriptors(configuration, reserved: Self.reservedDescriptors, limit: maxDescriptors)
            configuration.maxSockets = maxDescriptors - Self.reservedDescriptors
            let tokens = try await access.authenticator(requiresKeys: false, logger: logger).map {
                ReloadableAuthenticator($0)
            }
            configuration.authenticator = tokens
            let relay = try await open(try clients(), configuration, logger)
            let server: Serving.Server
            do {
                server = try makeServer(relay, logger)
            } catch {
                throw Serving.failure(error, configuration)
            }
            let serving = Serving(access: access, address: address)
            let reloading = Reloading(
                sources: serving.reloadableSources(tokens, relay.server, server, logger),
                logger: logger
            )
            let group = ServiceGroup(
                configuration: .init(
                    // Stopped from the last to the first: clients are notified before the port is closed.
                    services: [
                        .init(service: reloading), .init(service: HeapTrimming()), .init(service: server),
                        .init(service: relay), .init(service: Stopping { await relay.shutDown() }),
                    ],
                    gracefulShutdownSignals: [.sigterm, .sigint],
                    logger: logger
                )
            )
            do {
                try await group.run()
            } catch let error as RelayFailure {
                throw failure(error)
            } catch {
                throw Serving.failure(error, configuration)
            }
        }
    }

    /// Descriptors in addition to those of clients: the source, event loops, the standard ones.
    private static let reservedDescriptors = 64

    /// The clients of the sources.
    private func clients() throws(CommandFailure) -> [TablecastClient] {
        var clients: [TablecastClient] = []
        for source in sources {
            let address = try ServerAddress(parsing: source)
            do throws(TablecastClientError) {
                var client = try TablecastClient("\(address)", token: bearerToken)
                client.acceptsAnyCertificate = insecure
                client.heartbeatInterval = upstreamHeartbeat.duration
                client.maxReconnectWait = .seconds(5)
                clients.append(client)
            } catch {
                throw CommandFailure(.usage, "'\(source)' is not a server address: \(error)")
            }
        }
        return clients
    }

    private func open(
        _ clients: [TablecastClient],
        _ configuration: ServerConfiguration,
        _ logger: Logger
    ) async throws -> RelayService {
        do {
            #if NATS
                if let address = try nats.address() {
                    let upstream = StreamUpstream(
                        address,
                        stream: nats.stream,
                        server: clients.first,
                        waitsForSource: wait,
                        logger: logger
                    )
                    do {
                        return try await RelayService.open(upstream, server: configuration, logger: logger)
                    } catch let error as RelayFailure {
                        throw upstream.failure.map { CommandFailure($0, at: address) } ?? failure(error)
                    }
                }
            #endif
            return try await RelayService.open(
                sources: clients,
                server: configuration,
                waitsForSource: wait,
                logger: logger
            )
        } catch let error as RelayFailure {
            throw failure(error)
        }
    }

    private func makeServer(_ relay: RelayService, _ logger: Logger) throws -> Serving.Server {
        let router = Router()
        // Added first, so that it handles requests last.
        router.add(middleware: UnknownPaths())
        router.addTablecast(relay)
        return try TablecastHTTPServer(responder: router.buildResponder(), server: relay.server, logger: logger) {
            port in
            announce(relay, port: port)
            ServiceManager.notify("READY=1\nSTATUS=serving on port \(port)")
        }
    }

    private func announce(_ relay: RelayService, port: Int) {
        let serving = Serving(access: access, address: address)
        do throws(CommandFailure) {
            try serving.announce("relays \(relay.databaseName.printable)", port: port, risk: Self.risk)
        } catch {
            Self.exit(withError: report(error))
        }
    }

    /// The failure of the last source that was tried, with the reason for each of several.
    private func failure(_ failure: RelayFailure) -> CommandFailure {
        guard let reason = failure.reasons.last else { return CommandFailure(.software, "the relay failed") }
        var result =
            switch reason.error {
            case .loop:
                CommandFailure(
                    .usage,
                    "\(reason.address): \(reason.error)",
                    advice: "Name the server of the database, or a relay that does not receive from this one."
                )
            case .versionDiffers, .noDatabase, .protocolViolation:
                CommandFailure(.protocolError, "\(reason.address): \(reason.error)")
            case .refused(_, let code):
                CommandFailure(
                    code == .forbidden ? .noPermission : .protocolError,
                    "\(reason.address): \(reason.error)"
                )
            case .connection(let error):
                Self.failure(error, address: reason.address)
            case .sourceAway: CommandFailure(.unavailable, "\(reason.address): \(reason.error)")
            case .stream(let text, let isTransient):
                CommandFailure(isTransient ? .unavailable : .protocolError, "\(reason.address): \(text)")
            }
        if failure.reasons.count > 1 { result.message = "no source can be used: \(failure)" }
        return result
    }

    private static func failure(_ error: TablecastClientError, address: String) -> CommandFailure {
        // Made of such an address.
        guard let parsed = try? ServerAddress(parsing: address),
            let options = try? ConnectionOptions.parse([])
        else { return CommandFailure(.unavailable, "\(address): \(error)") }
        var failure = ServerConnection(address: parsed, options: options).failure(error)
        if error.httpStatus == 401 { failure.advice = "Set a valid token for the source with \(tokenVariable)." }
        return failure
    }
}
