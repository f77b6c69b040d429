import ArgumentParser
import ChangeCapture
import Foundation
import Hummingbird
import Logging
import NIOCore
import QueryEngine
import ServiceLifecycle
import Tablecast
import TablecastHummingbird
import UnixSignals

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

extension ServeCommand {
    func run() async throws {
        try await reportingFailure {
            let memory = file == InMemoryDatabase.name ? try InMemoryDatabase() : nil
            defer { memory?.remove() }
            let wasBuilt = try database.prepare(memory, orFileAt: file)
            if wasBuilt { Terminal.error.note("built \(file.printable)") }
            let level = LogLevel(logging.logLevel)
            let logger = makeLogger(level)
            let maxDescriptors = Descriptors.raiseLimit()
            let configuration = try serverConfiguration()
            let reserved = reservedDescriptors(configuration.limits)
            try requireDescriptors(configuration, reserved: reserved, limit: maxDescriptors)
            let tokens = try await access.authenticator(requiresKeys: false, logger: logger).map {
                ReloadableAuthenticator($0)
            }
            let service = try makeService(memory, tokens, configuration, maxSockets: maxDescriptors - reserved, logger)
            let server: TablecastHTTPServer<RouterResponder<BasicRequestContext>>
            do {
                server = try makeServer(service, logger)
            } catch {
                throw failure(error)
            }
            let reloading = Reloading(
                sources: reloadableSources(tokens, service.server, server, level, logger),
                logger: logger
            )
            let group = ServiceGroup(
                configuration: .init(
                    // Stopped from the last to the first: clients are notified before the port is closed.
                    services: [
                        .init(service: reloading), .init(service: HeapTrimming()), .init(service: server),
                        .init(service: Watchdog(service: service)), .init(service: Stopping(service: service)),
                    ],
                    gracefulShutdownSignals: [.sigterm, .sigint],
                    logger: logger
                )
            )
            do {
                try await group.run()
            } catch {
                throw failure(error)
            }
        }
    }

    private func makeLogger(_ level: LogLevel) -> Logger {
        let format = logging.logFormat
        LoggingSystem.bootstrap { label in
            switch format {
            case .json: ReloadableLogHandler(JSONLogHandler(label: label, level: level.value), level: level)
            case .text: ReloadableLogHandler(StreamLogHandler.standardError(label: label), level: level)
            }
        }
        return Logger(label: "tablecast")
    }

    /// Descriptors in addition to those of connections: the database's files and temporary files for each reader and
    /// the spare ones, snapshots, event loops, the standard ones.
    private func reservedDescriptors(_ limits: Limits) -> Int {
        192 + 4 * (limits.query.readerCount + limits.query.spareReaderCount)
    }

    /// Without them, the connections of clients could prevent files from being opened.
    private func requireDescriptors(_ configuration: ServerConfiguration, reserved: Int, limit: Int) throws {
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

    private func reloadableSources(
        _ tokens: ReloadableAuthenticator?,
        _ clients: WebSocketServer,
        _ server: TablecastHTTPServer<RouterResponder<BasicRequestContext>>,
        _ level: LogLevel,
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
        if config != nil { sources.append(("log level", { level.value = try await Self.currentLogLevel() })) }
        return sources
    }

    /// The level of the settings file as it is now; the environment and the command line still override it.
    private static func currentLogLevel() async throws -> Logger.Level {
        let (arguments, _) = try await ServeSettings.apply(to: Array(CommandLine.arguments.dropFirst()))
        do {
            let command = try TablecastCommand.parseAsRoot(arguments) as? ServeCommand
            return command?.logging.logLevel ?? .notice
        } catch {
            throw CommandFailure(.usage, TablecastCommand.message(for: error))
        }
    }

    private func makeService(
        _ memory: InMemoryDatabase?,
        _ authenticator: (any Authenticator)?,
        _ configuration: ServerConfiguration,
        maxSockets: Int,
        _ logger: Logger
    ) throws -> TablecastService {
        var server = configuration
        server.maxSockets = maxSockets
        server.authenticator = authenticator
        let database = memory.map { self.configuration(of: DatabaseConfiguration($0)) } ?? databaseConfiguration
        do {
            return try TablecastService(database: database, server: server, logger: logger)
        } catch let error as DatabaseFileError {
            throw error
        } catch let error as WatchError {
            throw CommandFailure(error, path: file)
        } catch {
            throw CommandFailure(.notADatabase, "'\(file)' cannot be served: \(error)")
        }
    }

    private func makeServer(
        _ service: TablecastService,
        _ logger: Logger
    ) throws -> TablecastHTTPServer<RouterResponder<BasicRequestContext>> {
        let router = Router()
        // Added first, so that it handles requests last.
        router.add(middleware: UnknownPaths())
        router.addTablecast(service)
        return try TablecastHTTPServer(responder: router.buildResponder(), server: service.server, logger: logger) {
            port in
            Descriptors.closeAllOnExec()
            announce(port: port)
            ServiceManager.notify("READY=1\nSTATUS=serving on port \(port)")
        }
    }

    private func announce(port: Int) {
        let host = address.host.contains(":") ? "[\(address.host)]" : address.host
        let secure = address.tlsCertificate == nil ? "" : "s"
        let palette = Terminal.output.palette
        let banner =
            """
            \(palette(.bold, "tablecast \(TablecastVersion.current)")) serves \(file.printable)
              page       \(palette(.cyan, "http\(secure)://\(host):\(port)"))
              WebSocket  \(palette(.cyan, "ws\(secure)://\(host):\(port)\(address.path)"))
              access     \(accessSummary)

            """
        do throws(CommandFailure) {
            // A disconnected reader does not need the banner.
            _ = try Terminal.output.write(banner)
        } catch {
            Self.exit(withError: report(error))
        }
        if !access.isConfigured, !ServerAddress.isLoopback(address.host) {
            Terminal.error.note(
                """
                warning: any client that can reach \(host) may \(database.readOnly ? "read" : "read and change") the database; \
                --tokens requires a token
                """
            )
        }
    }

    private var accessSummary: String {
        if access.isConfigured { return "token required" }
        let clients = ServerAddress.isLoopback(address.host) ? "local clients" : "any client"
        return "\(clients), no token required"
    }

    private func failure(_ error: any Error) -> CommandFailure {
        switch error {
        case let error as TLSFilesError:
            CommandFailure(.noInput, "\(error)", advice: "Expected PEM files that this user can read.")
        case let error as IOError:
            .binding(host: address.host, port: address.port, errno: error.errnoCode)
        case is SocketAddressError.UnknownHost:
            CommandFailure(
                .osError,
                "unknown host '\(address.host)'",
                advice: "Choose an address of this machine with --host."
            )
        default:
            CommandFailure(.software, "the server failed: \(error)")
        }
    }
}

/// Ends the clients' side when the process stops.
private struct Stopping: Service {
    let service: TablecastService

    /// The time for HTTP requests in progress after the end of the service, which has rolled everything back.
    static let requestPatience = Duration.seconds(1)

    func run() async throws {
        // Throws when the group is cancelled, which ends the service as well.
        try? await gracefulShutdown()
        ServiceManager.notify("STOPPING=1")
        ExitDeadline.start()
        await service.shutDown()
        // A client that sent an incomplete request can hold its connection indefinitely. Closing it loses nothing.
        Task.detached {
            try? await Task.sleep(for: Self.requestPatience)
            ServeCommand.exit()
        }
    }
}

/// Ends the process a fixed time after it began to stop, whatever still runs: a function of SQLite that cannot be
/// interrupted must not keep a supervisor waiting. The next process that opens the file rolls back what is open then.
enum ExitDeadline {
    /// Everything that stops regularly has stopped well before.
    static let limit = Duration.milliseconds(4_500)

    /// Starts the countdown, on its own thread: no other thread has to be free.
    static func start() {
        let thread = Thread {
            Thread.sleep(forTimeInterval: limit / .seconds(1))
            Terminal.error.note("stopped while a query was still running; it is rolled back")
            _exit(EXIT_SUCCESS)
        }
        thread.start()
    }
}

/// Reloads tokens, the certificate and the log level at SIGHUP. Errors are logged, and the previous values stay in use.
struct Reloading: Service {
    /// What is reloaded: its name in the plural, and the function.
    let sources: [(name: String, reload: @Sendable () async throws -> Void)]
    let logger: Logger

    func run() async throws {
        for await _ in await UnixSignalsSequence(trapping: .sighup).cancelOnGracefulShutdown() {
            if sources.isEmpty { logger.notice("SIGHUP: no tokens, certificate or settings file to reload") }
            for source in sources { await reload(source.name, source.reload) }
        }
    }

    private func reload(_ name: String, _ reload: () async throws -> Void) async {
        do {
            try await reload()
            logger.notice("SIGHUP: reloaded the \(name)")
        } catch {
            logger.error("SIGHUP: cannot reload the \(name), the previous ones stay in use: \(error)")
        }
    }
}
