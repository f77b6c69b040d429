import NIOCore
import NIOPosix
import WebSocketTransport

// Echoes every message: the server for the Autobahn test cases. `swift run -c release EchoServer [port]`, and in
// another terminal `pip install kosoku && kosoku 127.0.0.1:9001`, which writes a report for each case.

/// Echoes text as text and binary as binary.
final class Echo: WebSocketSession {
    private var connection: WebSocketHandler?

    func opened(_ connection: WebSocketHandler) { self.connection = connection }
    func received(text: ByteBuffer) { connection?.send(text: text) }
    func received(binary: ByteBuffer) { connection?.send(binary: binary) }
    func closed(_ status: CloseStatus) { connection = nil }
}

var limits = WebSocketLimits()
limits.maxMessageBytes = 16 << 20
limits.acceptsBinary = true
// The suite does not expect uncompressed replies once compression is agreed on.
limits.minCompressedBytes = 0
// The suite treats a ping within a case of large messages as a failure, and on a busy machine some cases take over 30
// s.
limits.heartbeatInterval = nil
let mount = WebSocketMount(policy: UpgradePolicy(paths: ["/"], maxConnections: 1000), limits: limits) { _, _ in Echo() }

let port = CommandLine.arguments.dropFirst().first.flatMap(Int.init) ?? 9001
let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
    .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
    .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try mount.configure(channel, isSecure: false) }
    }
    .bind(host: "127.0.0.1", port: port)
    .get()
print("listening on 127.0.0.1:\(port)")
try await server.closeFuture.get()
