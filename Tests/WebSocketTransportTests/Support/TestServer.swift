import NIOCore
import NIOPosix
import NIOSSL
import WebSocketTransport

/// A real server on a free port of the loopback interface, stopped at the end of ``with(_:_:)``.
struct TestServer {
    let port: Int
    let mount: WebSocketMount

    func url(_ target: String = "/ws") throws -> WebSocketURL {
        try WebSocketURL("ws://127.0.0.1:\(port)\(target)")
    }

    func connect(_ client: WebSocketClient = WebSocketClient()) async throws -> WebSocketConnection {
        try await client.connect(to: url())
    }

    static func with<Result>(
        _ mount: WebSocketMount,
        _ body: (TestServer) async throws -> Result,
        configure: @escaping @Sendable (any NIOCore.Channel) throws -> Void
    ) async throws -> Result {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try configure(channel) }
            }
            .bind(host: "127.0.0.1", port: 0)
            .get()
        let server = TestServer(port: channel.localAddress?.port ?? 0, mount: mount)
        do {
            let result = try await body(server)
            try await channel.close()
            return result
        } catch {
            try await channel.close()
            throw error
        }
    }

    static func with<Result>(
        _ mount: WebSocketMount,
        _ body: (TestServer) async throws -> Result
    ) async throws -> Result {
        try await with(mount, body) { try mount.configure($0, isSecure: false) }
    }
}

extension TestServer {
    /// A server behind TLS.
    static func with<Result>(
        _ mount: WebSocketMount,
        tls: TestTLS,
        _ body: (TestServer) async throws -> Result
    ) async throws -> Result {
        try await with(mount, body) { channel in
            try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls.server))
            try mount.configure(channel, isSecure: true)
        }
    }
}

/// Answers every message with the same message.
final class EchoSession: WebSocketSession {
    private var connection: WebSocketHandler?

    func opened(_ connection: WebSocketHandler) { self.connection = connection }
    func received(text: ByteBuffer) { connection?.send(text: text) }
    func received(binary: ByteBuffer) { connection?.send(binary: binary) }
    func closed(_ status: CloseStatus) { connection = nil }

    static func mount(
        policy: UpgradePolicy = UpgradePolicy(),
        limits: WebSocketLimits = WebSocketLimits()
    ) -> WebSocketMount {
        WebSocketMount(policy: policy, limits: limits) { _, _ in EchoSession() }
    }
}
