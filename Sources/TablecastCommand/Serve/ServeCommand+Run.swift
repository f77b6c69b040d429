import ArgumentParser
import ChangeCapture
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import ServiceLifecycle
import Tablecast
import TablecastHummingbird
import UnixSignals

extension ServeCommand {
    func run() async throws {
        try await reportingFailure {
            let wasBuilt = try database.prepare(file)
            if wasBuilt { Terminal.error.writeLine("built \(file.printable)") }
            let logger = makeLogger()
            let authenticator = try access.authenticator()
            let service = try makeService(authenticator, logger)
            let application = makeApplication(service, logger)
            let group = ServiceGroup(
                configuration: .init(
                    // Stopped from the last to the first: clients are told before the port is closed.
                    services: [.init(service: application), .init(service: Stopping(service: service))],
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

    private func makeLogger() -> Logger {
        let level = logLevel
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = level
            return handler
        }
        return Logger(label: "tablecast")
    }

    private func makeService(_ authenticator: (any Authenticator)?, _ logger: Logger) throws -> TablecastService {
        var server = serverConfiguration
        server.authenticator = authenticator
        do {
            return try TablecastService(database: databaseConfiguration, server: server, logger: logger)
        } catch let error as DatabaseFileError {
            throw error
        } catch let error as WatchError {
            throw CommandFailure(error, path: file)
        } catch {
            throw CommandFailure(.notADatabase, "'\(file)' cannot be served: \(error)")
        }
    }

    private func makeApplication(_ service: TablecastService, _ logger: Logger) -> some ApplicationProtocol {
        let router = Router()
        // First, so that it hears last.
        router.add(middleware: UnknownPaths())
        router.addTablecast(service)
        return Application(
            router: router,
            server: .tablecast(service.server),
            configuration: .init(address: .hostname(address.host, port: address.port), serverName: nil),
            onServerRunning: { channel in announce(port: channel.localAddress?.port ?? address.port) },
            logger: logger
        )
    }

    private func announce(port: Int) {
        let host = address.host.contains(":") ? "[\(address.host)]" : address.host
        let secure = address.tlsCertificate == nil ? "" : "s"
        let palette = Terminal.output.palette
        Terminal.output.write(
            """
            \(palette(.bold, "tablecast \(TablecastVersion.current)")) serves \(file.printable)
              page       \(palette(.cyan, "http\(secure)://\(host):\(port)"))
              WebSocket  \(palette(.cyan, "ws\(secure)://\(host):\(port)\(address.path)"))
              access     \(accessSummary)

            """
        )
        if !access.isConfigured, !ServerAddress.isLoopback(address.host) {
            Terminal.error.writeLine(
                """
                warning: everyone who can reach \(host) may \(database.readOnly ? "read" : "read and change") the database; \
                --tokens asks for tokens
                """
            )
        }
    }

    private var accessSummary: String {
        if access.isConfigured { return "with a token" }
        let who = ServerAddress.isLoopback(address.host) ? "everyone on this machine" : "everyone who can reach it"
        return "\(who), without a token"
    }

    private func failure(_ error: any Error) -> CommandFailure {
        switch error {
        case let error as TLSFilesError:
            CommandFailure(.noInput, "\(error)", advice: "Both have to be PEM files that this user may read.")
        case let error as IOError:
            .binding(host: address.host, port: address.port, errno: error.errnoCode)
        case is SocketAddressError.UnknownHost:
            CommandFailure(
                .osError,
                "the host '\(address.host)' is unknown",
                advice: "Choose an address of this machine."
            )
        default:
            CommandFailure(.software, "the server failed: \(error)")
        }
    }
}

/// Ends the clients' side when the process is told to stop.
private struct Stopping: Service {
    let service: TablecastService

    /// From the end of the service on, which has rolled everything back, for HTTP requests that are still under way.
    static let requestPatience = Duration.seconds(1)

    func run() async throws {
        // Throws when the group is cancelled, which ends the service just as well.
        try? await gracefulShutdown()
        await service.shutDown()
        // A client that sent half of a request holds its connection for as long as it likes. Nothing is lost with it.
        Task.detached {
            try? await Task.sleep(for: Self.requestPatience)
            ServeCommand.exit()
        }
    }
}
