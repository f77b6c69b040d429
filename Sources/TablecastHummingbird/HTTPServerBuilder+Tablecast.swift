import HTTPTypes
import Hummingbird
public import HummingbirdCore
import HummingbirdTLS
import Logging
import NIOCore
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import NIOSSL
public import Tablecast
import WebSocketTransport

extension HTTPServerBuilder {
    /// An HTTP/1 server that also speaks the WebSocket of a Tablecast server.
    ///
    /// ```swift
    /// let service = try TablecastService(database: DatabaseConfiguration(path: "my.db"))
    /// router.addTablecast(service)
    /// var application = Application(router: router, server: .tablecast(service.server))
    /// application.addServices(service)
    /// try await application.runService()
    /// ```
    ///
    /// The application's own routes keep working. It speaks TLS when ``Tablecast/ServerConfiguration/tls`` names the files;
    /// an application with its own TLS configuration wraps it like any other server: `.tls(.tablecast(service.server),
    /// tlsConfiguration: …)`. The application chooses the address on which it listens.
    ///
    /// The application throws ``Tablecast/TLSFilesError`` at its start when those files cannot be used.
    public static func tablecast(
        _ server: WebSocketServer,
        configuration: HTTP1Channel.Configuration = .init()
    ) -> HTTPServerBuilder {
        HTTPServerBuilder { responder in
            let channel = TablecastChannel(
                http: HTTP1Channel(responder: responder, configuration: configuration),
                mount: server.mount
            )
            guard let files = server.configuration.tls else { return channel }
            return try TLSChannel(channel, tlsConfiguration: files.tlsConfiguration())
        }
    }
}

/// A connection to a Hummingbird server that is HTTP/1 or becomes a WebSocket.
///
/// ``WebSocketMount`` provides the WebSocket's side of the pipeline; this type adds what Hummingbird's own
/// `HTTP1Channel` has above the HTTP/1 codec, once a first request shows that it is needed: a connection that begins
/// with the WebSocket never pays for Hummingbird's handlers and task.
struct TablecastChannel: ServerChildChannel {
    typealias HTTPConnection = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>

    struct Value: ServerChildChannelValue {
        let channel: any Channel
        let firstRequest: EventLoopFuture<FirstRequest<HTTPConnection>>
    }

    let http: HTTP1Channel
    let mount: WebSocketMount

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            let isSecure = (try? channel.pipeline.syncOperations.handler(type: NIOSSLServerHandler.self)) != nil
            let configuration = http.configuration
            let firstRequest = try mount.configure(channel, isSecure: isSecure) { channel in
                let pipeline = channel.pipeline.syncOperations
                try pipeline.addHandler(HTTP1ToHTTPServerCodec(secure: isSecure))
                try pipeline.addHandlers(configuration.additionalChannelHandlers())
                try pipeline.addHandler(
                    HTTPConnectionStateHandler(
                        idleTimeout: configuration.idleTimeout.map { .nanoseconds($0.nanoseconds) },
                        logger: logger
                    )
                )
                return try HTTPConnection(
                    wrappingChannelSynchronously: channel,
                    configuration: .init(isOutboundHalfClosureEnabled: true)
                )
            }
            return Value(channel: channel, firstRequest: firstRequest)
        }
    }

    func handle(value: Value, logger: Logger) async {
        // A connection that ended without a request, or was refused, is already over.
        guard case .http(let channel, let connection)? = try? await value.firstRequest.get() else { return }
        await ClientConnection.$current.withValue(connection) {
            await http.handle(value: channel, logger: logger)
        }
    }
}
