import Hummingbird
import Tablecast
import TablecastHummingbird
import Testing
import WireProtocol

/// A server within another application, and behind TLS.
@Suite(.timeLimit(.minutes(1))) struct EmbeddingTests {
    /// Runs a minimal application with a route of its own, for as long as the body takes.
    private func withApplication(
        _ server: WebSocketServer,
        service: TablecastService? = nil,
        _ body: (_ port: Int) async throws -> Void
    ) async throws {
        let router = Router()
        router.get("/own") { _, _ in "the application's own" }
        if let service { router.addTablecast(service) }
        router.post("/tables") { _, _ in "the application's own tables" }
        let (ports, continuation) = AsyncStream<Int>.makeStream()
        let application = Application(
            router: router,
            server: .tablecast(server),
            configuration: .init(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { continuation.yield($0.localAddress?.port ?? 0) }
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                defer { continuation.finish() }
                try await application.run()
            }
            if let port = await ports.first(where: { _ in true }) { try await body(port) }
            group.cancelAll()
            try await group.waitForAll()
        }
    }

    @Test func `a Hummingbird application keeps its own routes beside the service`() async throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)")
        let service = try TablecastService(database: DatabaseConfiguration(path: database.path))
        try await withApplication(service.server, service: service) { port in
            let client = try await TestClient(port, "channels=tables")
            _ = try await client.next(.subscribed)
            #expect(try await HTTPRequest(port: port, path: "/own").body() == "the application's own")
            #expect(try await HTTPRequest(port: port, path: "/tables").body().contains(#""name":"t""#))
            let posted = try await HTTPRequest(port: port, path: "/tables", method: "POST").body()
            #expect(posted == "the application's own tables")
            let refused = try await HTTPRequest(port: port, path: "/tables", method: "DELETE").response()
            #expect(refused.hasPrefix("HTTP/1.1 405 ") && refused.contains("\r\nAllow: GET, HEAD\r\n"))
            let unknown = try await HTTPRequest(port: port, path: "/nowhere").response()
            #expect(unknown.hasPrefix("HTTP/1.1 404 ") && !unknown.contains("asyncapi"))
            try await client.run("INSERT INTO t VALUES (1)")
            #expect(client.log.contains { $0.header.type == .tableModified })
            await client.close()
        }
        await service.shutDown()
    }

    @Test func `a Hummingbird application carries a broadcaster without any database`() async throws {
        let server = WebSocketServer()
        try await withApplication(server) { port in
            let client = try await TestClient(port)
            _ = try await client.next(.connectionAck)
            server.broadcast(.custom(MessageType("chat:message"), ["text": "hi"]))
            #expect(try await client.next().payload == .custom(MessageType("chat:message"), ["text": "hi"]))
            await client.close()
        }
    }

    @Test func `certificate and key make WSS of a Hummingbird application`() async throws {
        let certificate = TestCertificate()
        var configuration = ServerConfiguration()
        configuration.tls = certificate.files
        let server = WebSocketServer(configuration: configuration)
        try await withApplication(server) { port in try await certificate.expectAcknowledgement(on: port) }
    }

    @Test func `certificate and key make WSS of a server of its own`() async throws {
        let certificate = TestCertificate()
        var configuration = ServerConfiguration()
        configuration.port = 0
        configuration.tls = certificate.files
        let server = try await WebSocketServer.start(configuration: configuration)
        try await certificate.expectAcknowledgement(on: try #require(server.port))
        await server.stop()
    }

    @Test func `a certificate that is not there is named`() async throws {
        var configuration = ServerConfiguration()
        configuration.port = 0
        configuration.tls = .init(certificateChain: "/nowhere/certificate.pem", privateKey: "/nowhere/key.pem")
        let server = WebSocketServer(configuration: configuration)
        let error = await #expect(throws: TLSFilesError.self) { try await server.start() }
        #expect(error?.description.contains("/nowhere/certificate.pem") == true)
        // It is not taken for one that runs.
        await #expect(throws: TLSFilesError.self) { try await server.start() }
    }
}
