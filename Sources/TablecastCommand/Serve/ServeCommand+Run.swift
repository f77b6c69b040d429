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

#if NATS
    import NIOPosix
    import TablecastNATS
#endif

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
            Reloading.ignoreSignals()
            let memory = file == InMemoryDatabase.name ? try InMemoryDatabase() : nil
            defer { memory?.remove() }
            let wasBuilt = try database.prepare(memory, orFileAt: file)
            if wasBuilt { Terminal.error.note("built \(file.printable)") }
            let level = LogLevel(logging.logLevel)
            let logger = logging.makeLogger(level)
            let maxDescriptors = Descriptors.raiseLimit()
            let configuration = try serverConfiguration()
            let reserved = reservedDescriptors(configuration.limits)
            try Serving.requireDescriptors(configuration, reserved: reserved, limit: maxDescriptors)
            let tokens = try await access.authenticator(requiresKeys: false, logger: logger).map {
                ReloadableAuthenticator($0)
            }
            let service = try makeService(memory, tokens, configuration, maxSockets: maxDescriptors - reserved, logger)
            let publishing = try await startPublishing(service, logger)
            let server: TablecastHTTPServer<RouterResponder<BasicRequestContext>>
            do {
                server = try makeServer(service, logger)
            } catch {
                throw Serving.failure(error, configuration)
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
                        .init(service: Watchdog(service: service)),
                        .init(
                            service: Stopping {
                                await service.shutDown()
                                await publishing.stop()
                            }
                        ),
                    ],
                    gracefulShutdownSignals: [.sigterm, .sigint],
                    logger: logger
                )
            )
            do {
                try await group.run()
            } catch {
                throw Serving.failure(error, configuration)
            }
        }
    }

    /// Descriptors in addition to those of connections: the database's files and temporary files for each reader and
    /// the spare ones, snapshots, event loops, the standard ones.
    private func reservedDescriptors(_ limits: Limits) -> Int {
        192 + 4 * (limits.query.readerCount + limits.query.spareReaderCount)
    }

    private var serving: Serving { Serving(access: access, address: address) }

    /// What SIGHUP reloads.
    private func reloadableSources(
        _ tokens: ReloadableAuthenticator?,
        _ clients: WebSocketServer,
        _ server: Serving.Server,
        _ level: LogLevel,
        _ logger: Logger
    ) -> [(name: String, reload: @Sendable () async throws -> Void)] {
        var sources = serving.reloadableSources(tokens, clients, server, logger)
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

    /// Publishes to the stream of `--nats`. The result ends that, after the service has ended.
    private func startPublishing(_ service: TablecastService, _ logger: Logger) async throws -> Publishing {
        #if NATS
            guard let address = try nats.address() else { return Publishing {} }
            let publisher = StreamPublisher(service, address, stream: nats.stream, logger: logger)
            let pool = NIOThreadPool.singleton
            do {
                try await pool.runIfActive { try publisher.start() }
            } catch let error as StreamError {
                await service.shutDown()
                throw CommandFailure(error, at: address)
            }
            // Nothing is left to stop when the pool is.
            return Publishing { try? await pool.runIfActive { publisher.stop() } }
        #else
            return Publishing {}
        #endif
    }

    private struct Publishing: Sendable {
        let stop: @Sendable () async -> Void

        init(_ stop: @escaping @Sendable () async -> Void) { self.stop = stop }
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
        let risk = database.readOnly ? "read the database" : "read and change the database"
        do throws(CommandFailure) {
            try serving.announce("serves \(file.printable)", port: port, risk: risk)
        } catch {
            Self.exit(withError: report(error))
        }
    }
}

/// Ends the clients' side when the process stops.
struct Stopping: Service {
    let end: @Sendable () async -> Void

    /// The time for HTTP requests in progress after the end of the service, which has rolled everything back.
    static let requestPatience = Duration.seconds(1)

    func run() async throws {
        // Throws when the group is cancelled, which ends the service as well.
        try? await gracefulShutdown()
        ServiceManager.notify("STOPPING=1")
        ExitDeadline.start()
        await end()
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

    /// SIGHUP ends no process that does not reload yet: one that waits for its source or for a locked file.
    static func ignoreSignals() { signal(SIGHUP, SIG_IGN) }

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
