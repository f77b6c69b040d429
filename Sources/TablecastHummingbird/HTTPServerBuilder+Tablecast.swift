public import HummingbirdCore
import NIOCore
public import Tablecast

extension HTTPServerBuilder {
    /// An HTTP/1 server that also speaks the WebSocket of a Tablecast server.
    ///
    /// ```swift
    /// let service = try TablecastService(database: DatabaseConfiguration(path: "my.db"))
    /// router.addTablecast(service)
    /// let app = Application(router: router, server: .tablecast(service.server))
    /// ```
    ///
    /// The application's own routes keep working. For TLS wrap it as any other:
    /// `.tls(.tablecast(service.server), tlsConfiguration: …)`.
    public static func tablecast(
        _ server: WebSocketServer,
        configuration: HTTP1Channel.Configuration = .init()
    ) -> HTTPServerBuilder {
        HTTPServerBuilder { responder in
            TablecastChannel(
                http: HTTP1Channel(responder: responder, configuration: configuration),
                mount: server.mount
            )
        }
    }
}
