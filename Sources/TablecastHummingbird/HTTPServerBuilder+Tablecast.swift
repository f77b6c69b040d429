public import HummingbirdCore
import HummingbirdTLS
import NIOCore
public import Tablecast

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
    /// an application with a TLS configuration of its own wraps it as any other server:
    /// `.tls(.tablecast(service.server), tlsConfiguration: …)`. Where it listens is the application's to say.
    ///
    /// The application throws ``Tablecast/TLSFilesError`` when it starts and those files cannot be used.
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
