import ChangeCapture
import Foundation
import OracleSupport
import SQLiteConnection
import Tablecast
import Testing
import WireProtocol

/// Random transactions through the whole road: a client runs them, another one hears them, and after every commit what it
/// heard must equal the database, table by table.
///
/// `TABLECAST_MESSAGE_SEEDS` random seeds of `TABLECAST_MESSAGE_STATEMENTS` statements, which are printed; or the one of
/// `TABLECAST_MESSAGE_SEED`.
@Suite(.timeLimit(.minutes(20))) struct MessageOracleTests {
    private static func setting(_ name: String, _ fallback: Int) -> Int {
        ProcessInfo.processInfo.environment[name].flatMap { Int($0) } ?? fallback
    }

    static let seeds: [UInt64] =
        setting("TABLECAST_MESSAGE_SEED", 0) > 0
        ? [UInt64(setting("TABLECAST_MESSAGE_SEED", 0))]
        : [1, 2] + (0..<setting("TABLECAST_MESSAGE_SEEDS", 1)).map { _ in UInt64.random(in: 0..<1_000_000_000) }

    @Test(arguments: seeds)
    func `after every commit the messages add up to the database`(seed: UInt64) async throws {
        let statements = Self.setting("TABLECAST_MESSAGE_STATEMENTS", 250)
        let database = try TemporaryDatabase()
        var configuration = ServerConfiguration()
        configuration.port = 0
        configuration.limits.maxMessagesPerSecond = 1_000_000
        configuration.limits.maxMessageBurst = 1_000_000
        var served = DatabaseConfiguration(path: database.path)
        served.limits.transactionIdleTimeout = .seconds(60)
        let service = try TablecastService(database: served, server: configuration)
        try await service.server.start()
        let port = try #require(service.server.port)
        let listener = try await TestClient(port)
        try await listener.send(#"{"type":"subscribe","channel":"tables","id":"s","data":{"rows":"values"}}"#)
        _ = try await listener.reply(to: "s")
        let writer = try await TestClient(port)
        let truth = try Connection(path: database.path, mode: .readOnly)

        var generator = ScriptGenerator(seed: seed)
        var replica = OracleReplica()
        var script: [String] = []
        var isInTransaction = false
        var commits = 0
        for number in 0..<statements {
            generator.schema = try SchemaSnapshot.load(from: truth, reusing: generator.schema)
            let step = number < 3 ? generator.table() : generator.next(isInTransaction: isInTransaction)
            if step.blobWrite != nil { continue }
            script.append(step.sql)
            let end = try await writer.run(step.sql)
            guard case .queryComplete(let complete) = end.payload else { continue }
            isInTransaction = complete.isInTransaction == true
            guard let position = complete.position else { continue }
            commits += 1
            while !replica.hasReached(position) {
                replica.apply(try await listener.next())
            }
            try replica.compare(with: truth)
            guard replica.complaints.isEmpty else { break }
        }
        let text = "seed \(seed): \(script.count) statements, \(commits) commits, \(replica.rowChanges) rows"
        print(text)
        #expect(
            replica.complaints.isEmpty,
            "\(text)\n\(replica.complaints.prefix(3))\n\(script.suffix(60).joined(separator: ";\n"))"
        )
        await writer.close()
        await listener.close()
        await service.shutDown()
    }
}
