import ChangeCapture
import OracleSupport
import QueryEngine
import SQLiteConnection
import Tablecast
import Testing
import WireProtocol

/// One service with a client that writes and one that listens: runs statements, and compares the listener's messages
/// with the database after every commit.
final class MessageRun {
    private(set) var isInTransaction = false
    private(set) var commits = 0
    var complaints: [String] { replica.complaints }
    var rowChanges: Int { replica.rowChanges }

    private let database: TemporaryDatabase
    private let service: TablecastService
    private let listener: TestClient
    private let writer: TestClient
    private let truth: Connection
    private var replica = OracleReplica()

    init() async throws {
        database = try TemporaryDatabase()
        var configuration = ServerConfiguration()
        configuration.port = 0
        configuration.limits.clients.maxMessagesPerSecond = 1_000_000
        configuration.limits.clients.maxMessageBurst = 1_000_000
        configuration.limits.clients.maxMessageBurstOfIdentity = 1_000_000
        let served = DatabaseConfiguration(path: database.path)
        configuration.limits.query.transactionIdleTimeout = .seconds(60)
        service = try TablecastService(database: served, server: configuration)
        try await service.server.start()
        let port = try #require(service.server.port)
        listener = try await TestClient(port)
        try await listener.send(#"{"type":"subscribe","channel":"tables","id":"s","data":{"rows":"values"}}"#)
        _ = try await listener.reply(to: "s")
        writer = try await TestClient(port)
        truth = try Connection(path: database.path, mode: .readOnly)
    }

    func schema(reusing known: SchemaSnapshot) throws -> SchemaSnapshot {
        try SchemaSnapshot.load(from: truth, reusing: known)
    }

    /// Runs a statement, and compares when it committed.
    func run(_ step: ScriptStep) async throws {
        let end = try await writer.run(step.sql)
        guard case .queryComplete(let complete) = end.payload else { return }
        isInTransaction = complete.isInTransaction == true
        guard let position = complete.position else { return }
        commits += 1
        while !replica.hasReached(position) {
            replica.apply(try await listener.next())
        }
        try replica.compare(with: truth)
    }

    func close() async {
        await writer.close()
        await listener.close()
        await service.shutDown()
    }

    /// The mismatch of a script that starts with an empty database; nil when there is none.
    static func complaints(of script: [ScriptStep]) async throws -> [String] {
        let run = try await MessageRun()
        for step in script where run.complaints.isEmpty { try await run.run(step) }
        await run.close()
        return run.complaints
    }
}
