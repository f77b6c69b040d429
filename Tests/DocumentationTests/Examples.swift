import Broadcast
import ChangeCapture
import Hummingbird
import Logging
import NIOCore
import NIOPosix
import QueryEngine
import SQLiteConnection
import ServiceLifecycle
import Tablecast
import TablecastClient
import TablecastHummingbird
import TablecastJWT
import TablecastRelay
import UnixSignals
import WireProtocol

/// The Swift of the documentation, compiled so that it stays true. Nothing runs it; `SnippetTests` compares it with the
/// pages, line by line.
enum Examples {
    // MARK: A server of its own

    static func factory() async throws {
        let server = try await WebSocketServer.start()
        server.broadcast(.custom(MessageType("chat:message"), ["text": "hello"]), to: .notifications)
    }

    static func configuration() async throws {
        var configuration = ServerConfiguration()
        configuration.port = 3001
        configuration.path = "/ws"
        configuration.heartbeatInterval = .seconds(30)
        configuration.maxConnections = 100
        configuration.tls = .init(certificateChain: "certificate.pem", privateKey: "key.pem")
        let server = WebSocketServer(configuration: configuration)
        try await server.start()
        print(server.clientCount, "clients on port", server.port ?? 0)
        await server.stop()
    }

    static func rowRules() throws {
        let rules = try RowRules(["orders": .init(where: "owner = :sub")], claims: ["sub": .text("ada")])
        let identity = Identity(id: "ada", role: .readOnly, rules: rules)
        print(identity.tables ?? [])
    }

    static func webTokens() throws {
        let authenticator = JWTAuthenticator(
            try .url("https://id.example.com/.well-known/jwks.json"),
            issuer: "https://id.example.com",
            audience: ["tablecast"]
        )
        var configuration = ServerConfiguration()
        configuration.authenticator = authenticator
    }

    static func relay() async throws {
        let relay = try await RelayService.open(sources: [TablecastClient("ws://127.0.0.1:3001/ws")])
        try await relay.server.start()
    }

    static func limits() async throws {
        var configuration = ServerConfiguration()
        configuration.limits.query.maxRows = 10_000
        configuration.limits.hub.history.maxBytes = 256 << 20
        let service = try TablecastService(database: DatabaseConfiguration(path: "my.db"), server: configuration)
        await service.shutDown()
    }

    static func client() async throws {
        let client = try TablecastClient("ws://127.0.0.1:3001/ws")
        try await client.execute("INSERT INTO genre (name) VALUES (?)", [.text("Skronk")])
        for try await row in client.query("SELECT name FROM genre") { print(row["name"] ?? .null) }
        for try await event in try client.changes(of: ["genre"]) {
            guard case .message(let message) = event else { continue }
            if case .tableModified(let change) = message.envelope.payload { print(change.tableName) }
        }
    }

    static func clientOverview() async throws {
        let client = try TablecastClient("ws://127.0.0.1:3001/ws")
        for try await row in client.query("SELECT name FROM genre WHERE genre_id < ?", [.integer(3)]) {
            print(row["name"] ?? .null)
        }
        for try await event in try client.changes(of: ["album", "artist"]) {
            guard case .message(let message) = event else { continue }
            if case .tableModified(let change) = message.envelope.payload { print(change.tableName) }
        }
    }

    static func resumingClient(token: String, since: Position) async throws {
        var position: Position? = since
        let client = try TablecastClient("wss://db.example.com/ws", token: token)
        for try await event in try client.changes(of: ["album"], since: position) {
            switch event {
            case .message(let message): position = message.position ?? position
            case .missed: print("transactions are missing: read the table again")
            case .disconnected(let error, let wait): print(error, "- connecting again in", wait)
            default: break
            }
        }
    }

    static func liveClient(client: TablecastClient) async throws {
        for try await update in client.live("SELECT name FROM genre ORDER BY name LIMIT ?", [.integer(10)]) {
            print(update.rows.count, "rows at", update.position?.description ?? "no position")
        }
    }

    static func connectedClient(client: TablecastClient) async throws {
        let connection = try await client.connect()
        for sql in ["BEGIN", "INSERT INTO genre (name) VALUES ('Skronk')", "COMMIT"] {
            try await connection.send(ClientMessage(id: sql, .executeQuery(QueryRequest(sql: sql))))
        }
        for try await message in connection.messages where message.envelope.header.replyTo == "COMMIT" { break }
        await connection.close()
    }

    static func clientEvents(server: WebSocketServer) async throws {
        for try await event in server.clientEvents() {
            switch event {
            case .connected(let client): print(client.username, "is here")
            case .message(let client, let type, let data):
                server.broadcast(.custom(type, data), to: .collaboration, excluding: client.id)
            default: break
            }
        }
    }

    static func chat(server: WebSocketServer) async throws {
        for try await event in server.clientEvents() {
            guard case .message(let client, let type, let data) = event, type == MessageType("chat:message") else {
                continue
            }
            server.broadcast(.custom(type, data), to: .collaboration, excluding: client.id)
        }
    }

    static func openService() async throws {
        let service = try await TablecastService.open(database: DatabaseConfiguration(path: "my.db"))
        await service.shutDown()
    }

    static func startAndStop() async throws {
        let server = try await WebSocketServer.start()
        server.notifyTableCreated(TableCreatedPayload(tableName: "album"))
        await server.stop()
    }

    static func notifications(server: WebSocketServer) {
        server.notifyTableCreated(TableCreatedPayload(tableName: "album", objectType: .table))
        let rows = RowsModification(inserted: 1, updated: 0, deleted: 0)
        server.notifyTableModified(TableModifiedPayload(tableName: "album", change: .rows(rows)))
        server.notifyTableDropped(TableDroppedPayload(tableName: "album"))

        server.notifyQueryStarted(QueryStartedPayload(queryID: "q1", sql: "SELECT * FROM album", userID: "ada"))
        server.notifyQueryProgress(
            QueryProgressPayload(queryID: "q1", progress: 40, message: "scanning", rowCount: 400, elapsed: 120)
        )
        server.notifyQueryComplete(QueryCompletePayload(queryID: "q1", rowCount: 1_000, duration: 300, changes: 0))
        server.notifyQueryError(QueryErrorPayload(queryID: "q2", error: "no such table: albun", code: .sqlError))
        server.notifyQueryCancelled(QueryCancelledPayload(queryID: "q3", reason: .client, rowCount: 17, duration: 90))
    }

    static func broadcasts(server: WebSocketServer, clientID: String) throws {
        let message = ServerPayload.custom(MessageType("chat:message"), ["text": "hello"])
        server.broadcast(message)
        server.broadcast(message, excluding: clientID)
        server.broadcast(message, to: .collaboration, excluding: clientID)
        server.send(message, toClient: clientID)

        try server.subscribe(clientID, to: .tables, filter: TableFilter(tables: ["album*"], rowLevel: .keys))
        server.unsubscribe(clientID, from: .tables)
        server.disconnect(clientID, .forbidden, reason: "come back with a ticket")
    }

    // MARK: A database

    static func database() async throws {
        let service = try TablecastService(database: DatabaseConfiguration(path: "my.db"))
        try await service.server.start()
    }

    static func live(service: TablecastService) async throws {
        for try await update in service.live("SELECT name FROM genre ORDER BY name") {
            if case .changes(let changes, let position) = update { print(position, changes.count) }
        }
    }

    static func tokens(secret: String) throws -> ServerConfiguration {
        var tokens = TokenList()
        try tokens.add(secret, for: Identity(id: "dashboard", role: .readOnly, tables: ["orders"]))
        var configuration = ServerConfiguration()
        configuration.authenticator = tokens
        return configuration
    }

    // MARK: In another server

    static func hummingbird(router: Router<BasicRequestContext>) async throws {
        let service = try TablecastService(database: DatabaseConfiguration(path: "my.db"))
        router.addTablecast(service)
        var application = Application(router: router, server: .tablecast(service.server))
        application.addServices(service)
        try await application.runService()
    }

    static func serviceGroup(logger: Logger) async throws {
        let service = try TablecastService(database: DatabaseConfiguration(path: "my.db"))
        let group = ServiceGroup(
            services: [service, service.server],
            gracefulShutdownSignals: [.sigterm, .sigint],
            logger: logger
        )
        try await group.run()
    }

    static func inProcess(service: TablecastService) async throws {
        for try await row in service.query("SELECT name FROM genre WHERE genre_id < ?", [.integer(3)]) {
            print(row["name"] ?? .null)
        }
        let summary = try await service.execute("DELETE FROM genre WHERE genre_id = 11")
        print(summary.changes, "rows at", summary.position?.description ?? "no position")
        for try await transaction in service.changes() {
            for case .rows(let rows) in transaction.changes.events {
                print(transaction.position, rows.table.name, rows.inserted, rows.updated, rows.deleted)
            }
        }
    }

    static func broadcasterInHummingbird(router: Router<BasicRequestContext>) throws -> any ApplicationProtocol {
        let server = WebSocketServer()
        let application = Application(router: router, server: .tablecast(server))
        return application
    }

    static func pipeline(group: any EventLoopGroup) async throws -> any NIOCore.Channel {
        let server = WebSocketServer()
        let channel = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try server.configure(channel) }
            }
            .bind(host: "127.0.0.1", port: 3001).get()
        return channel
    }

    // MARK: Without a server

    static func watcher() async throws {
        for try await transaction in try FileWatcher(path: "my.db").changes {
            for case .rows(let rows) in transaction.events {
                print(rows.table.name, rows.inserted, rows.updated, rows.deleted)
            }
        }
    }

    static func client(text: String) throws {
        let message = try Envelope(parsing: text.utf8)
        if case .tableModified(let change) = message.payload { print(change.tableName) }
    }
}

private struct Users: Sendable {
    func user(ofSession token: String) async -> (id: String, name: String, isEditor: Bool)? { nil }
}

private let store = Users()

struct Sessions: Authenticator {
    func identity(of token: String) async throws -> Identity {
        guard let user = await store.user(ofSession: token) else { throw AuthenticationError("the session is over") }
        return Identity(id: user.id, username: user.name, role: user.isEditor ? .readWrite : .readOnly)
    }
}
