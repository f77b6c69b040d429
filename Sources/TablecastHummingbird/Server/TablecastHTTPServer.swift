import HTTPTypes
package import Hummingbird
import HummingbirdCore
package import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import ServiceLifecycle
import Synchronization
package import Tablecast
import WebSocketTransport

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// An HTTP server with the WebSocket of a Tablecast server, on its own listener: like Hummingbird's `Application`,
/// without the conditions under which NIO's server channel stops (see ``WebSocketTransport/SocketListener``), and with
/// a reloadable certificate.
///
/// ``Tablecast/ServerConfiguration`` defines the address on which it listens.
package final class TablecastHTTPServer<Responder: HTTPResponder>: Service
where Responder.Context: InitializableFromSource<ApplicationRequestContextSource> {
    private let server: WebSocketServer
    private let tls: ReloadableTLS?
    private let child: TablecastChannel
    private let onListening: @Sendable (_ port: Int) -> Void
    private let logger: Logger
    private let channels = OpenChannels()

    /// - Parameters:
    ///   - onListening: Called once, when connections are accepted.
    /// - Throws: ``Tablecast/TLSFilesError``.
    package init(
        responder: Responder,
        server: WebSocketServer,
        logger: Logger,
        onListening: @escaping @Sendable (_ port: Int) -> Void
    ) throws {
        self.server = server
        self.onListening = onListening
        self.logger = logger
        tls = try server.configuration.tls.map { try ReloadableTLS($0) }
        let date = HTTPDate()
        child = TablecastChannel(
            http: HTTP1Channel { request, responseWriter, channel in
                var response = try await Self.response(to: request, from: responder, on: channel, logger)
                response.headers[.date] = date.now
                try await responseWriter.write(response: response.head, body: response.body)
            },
            mount: server.mount
        )
    }

    /// Loads the certificate files again, for new connections. Does nothing without TLS.
    package func reloadTLS() throws { try tls?.reload() }

    /// Serves until a graceful shutdown, and then until every connection is over.
    ///
    /// - Throws: `IOError` or `SocketAddressError.UnknownHost` when it cannot listen, or cannot listen any more.
    package func run() async throws {
        let (accepted, continuation) = AsyncStream<TablecastChannel.Value>.makeStream()
        let failure = Mutex<IOError?>(nil)
        let (child, tls, channels, logger) = (child, tls, channels, logger)
        let listener = try server.makeListener(
            allowsHalfClosure: true,
            group: MultiThreadedEventLoopGroup.singleton
        ) { channel in
            channel.eventLoop.makeCompletedFuture { try tls?.install(on: channel) }
                .flatMap { child.setup(channel: channel, logger: logger) }
                .map { value in
                    channels.add(channel)
                    continuation.yield(value)
                }
        }
        listener.start { error in
            failure.withLock { $0 = error }
            continuation.finish()
        }
        onListening(listener.localAddress.port ?? server.configuration.port)
        await withGracefulShutdownHandler {
            await withTaskCancellationHandler {
                await withDiscardingTaskGroup { group in
                    for await value in accepted {
                        group.addTask { await child.handle(value: value, logger: logger) }
                    }
                }
            } onCancel: {
                listener.stop()
            }
        } onGracefulShutdown: {
            listener.stop()
            channels.quiesce()
        }
        if let error = failure.withLock({ $0 }) { throw error }
    }

    private static func response(
        to request: Request,
        from responder: Responder,
        on channel: any NIOCore.Channel,
        _ logger: Logger
    ) async throws -> Response {
        var logger = logger
        logger[metadataKey: "hb.request.id"] = .stringConvertible(RequestID())
        do {
            return try await responder.respond(
                to: request,
                context: .init(source: .init(channel: channel, logger: logger))
            )
        } catch let error as HTTPParserError {
            // HTTP1Channel answers this error with 400.
            throw error
        } catch {
            logger.error("a request ended with an error that is not an HTTP error: \(error)")
            return Response(status: .internalServerError)
        }
    }
}

/// The open connections of a server, which are notified of its shutdown. Thread-safe.
private final class OpenChannels: Sendable {
    private struct State {
        var channels: [ObjectIdentifier: any NIOCore.Channel] = [:]
        var isQuiescing = false
    }

    private let state = Mutex(State())

    func add(_ channel: any NIOCore.Channel) {
        let id = ObjectIdentifier(channel)
        let isQuiescing = state.withLock { state in
            state.channels[id] = channel
            return state.isQuiescing
        }
        channel.closeFuture.whenComplete { _ in self.state.withLock { $0.channels[id] = nil } }
        if isQuiescing { Self.quiesce(channel) }
    }

    /// HTTP connections end after the current response; WebSockets are closed by their server.
    func quiesce() {
        let channels = state.withLock { state in
            state.isQuiescing = true
            return state.channels.values
        }
        for channel in channels { Self.quiesce(channel) }
    }

    private static func quiesce(_ channel: any NIOCore.Channel) {
        channel.eventLoop.execute { channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
    }
}

/// The time of day as the header `Date` (RFC 9110 section 5.6.7), formatted once a second. Thread-safe.
final class HTTPDate: Sendable {
    private let last = Mutex<(second: Int, text: String)>((0, ""))

    var now: String {
        let second = time(nil)
        return last.withLock { last in
            if last.second != second { last = (second, Self.text(of: second)) }
            return last.text
        }
    }

    static func text(of second: Int) -> String {
        var second = second
        var parts = tm()
        gmtime_r(&second, &parts)
        func two(_ number: CInt) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let day = days[Int(parts.tm_wday)]
        let month = months[Int(parts.tm_mon)]
        let time = [parts.tm_hour, parts.tm_min, parts.tm_sec].map(two).joined(separator: ":")
        return "\(day), \(two(parts.tm_mday)) \(month) \(1900 + parts.tm_year) \(time) GMT"
    }

    private static let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
}
