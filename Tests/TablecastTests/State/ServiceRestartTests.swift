import Broadcast
import Foundation
import Logging
import SQLiteConnection
import StateStore
import Testing
import WireProtocol

@testable import Tablecast

/// A service that is started again on the same file, with clients over real sockets.
@Suite(.timeLimit(.minutes(1))) struct ServiceRestartTests {
    private static let setUp = "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES(1, 'a')"

    private func start(
        _ database: TemporaryDatabase,
        _ state: StateStorage = .besideDatabase,
        history: HistoryLimits = HistoryLimits()
    ) async throws -> (service: TablecastService, port: Int) {
        var configuration = ServerConfiguration()
        configuration.port = 0
        configuration.limits.hub.history = history
        var file = DatabaseConfiguration(path: database.path)
        file.state = state
        let service = try TablecastService(database: file, server: configuration)
        try await service.server.start()
        return (service, try #require(service.server.port))
    }

    private func subscribe(_ port: Int, since: Position? = nil) async throws -> (TestClient, SubscribedPayload) {
        let client = try await TestClient(port)
        let since = since.map { #","since":"\#($0)""# } ?? ""
        try await client.send(#"{"type":"subscribe","channel":"tables","id":"s","data":{"rows":"values"\#(since)}}"#)
        guard case .subscribed(let payload) = try await client.reply(to: "s").payload else {
            throw ProtocolError(.internal, "no acknowledgement")
        }
        return (client, payload)
    }

    /// The next transactions set `v` to their sequence.
    private func expectUpdates(_ sequences: ClosedRange<UInt64>, _ client: TestClient) async throws {
        for sequence in sequences {
            let message = try await client.next(.tableModified)
            #expect(message.header.position?.sequence == sequence)
            #expect(rows(message)?.first?.after?["v"] == .integer(Int64(sequence)))
        }
    }

    private func rows(_ envelope: Envelope) -> [RowChangePayload]? {
        guard case .tableModified(let modified) = envelope.payload, case .rows(let rows) = modified.change else {
            return nil
        }
        return rows.rows
    }

    @Test func `a client resumes after a restart with the messages that it would have received`() async throws {
        let database = try TemporaryDatabase(Self.setUp)
        var (service, port) = try await start(database)
        var (client, begin) = try await subscribe(port)
        var writer = try await TestClient(port)
        try await writer.run("UPDATE t SET v = 'b'")
        let live = try await client.next(.tableModified)
        await client.close()
        await service.shutDown()

        (service, port) = try await start(database)
        let since = try #require(begin.position)
        (client, begin) = try await subscribe(port, since: since)
        #expect(begin.recovered == true)
        let replayed = try await client.next(.tableModified)
        #expect(replayed.header.id == live.header.id)
        #expect(replayed.header.timestamp == live.header.timestamp)
        #expect(rows(replayed) == rows(live))
        #expect(replayed.header.position?.sequence == live.header.position?.sequence)
        // The position that was received before the restart works as well.
        await client.close()
        (client, begin) = try await subscribe(port, since: live.header.position)
        #expect(begin.recovered == true)
        writer = try await TestClient(port)
        try await writer.run("UPDATE t SET v = 'c'")
        #expect(try await client.next(.tableModified).header.position?.sequence == 2)
        await client.close()
        await writer.close()
        await service.shutDown()
    }

    @Test func `without state each start begins a new epoch`() async throws {
        let database = try TemporaryDatabase(Self.setUp)
        var (service, port) = try await start(database, .none)
        let before = service.server.hub.position
        await service.shutDown()
        (service, port) = try await start(database, .none)
        let (client, begin) = try await subscribe(port, since: before)
        #expect(begin.recovered == false)
        #expect(!FileManager.default.fileExists(atPath: database.path + "-tablecast"))
        await client.close()
        await service.shutDown()
    }

    @Test func `a client that resumes learns why a new epoch began`() async throws {
        let database = try TemporaryDatabase(Self.setUp)
        var (service, port) = try await start(database)
        let before = service.server.hub.position
        await service.shutDown()
        // The last connection copies the commit into the file and deletes the log.
        let writer = try Connection(path: database.path, mode: .readWrite)
        try writer.execute("UPDATE t SET v = 'unseen'")
        writer.close()

        (service, port) = try await start(database)
        let client = try await TestClient(port)
        try await client.send(
            #"{"type":"subscribe","channel":"tables","id":"s","data":{"since":"\#(before)"}}"#
        )
        guard case .custom(let type, .object(let data)) = try await client.next(MessageType("database:epoch")).payload
        else {
            Issue.record("no reason")
            return
        }
        #expect(type == MessageType("database:epoch"))
        #expect(data["reason"] == .string("restarted"))
        guard case .subscribed(let payload) = try await client.reply(to: "s").payload else { return }
        #expect(payload.recovered == false)
        await client.close()
        await service.shutDown()
    }

    @Test func `a second service on the same file runs without state`() async throws {
        let database = try TemporaryDatabase(Self.setUp)
        let (first, _) = try await start(database)
        let (second, _) = try await start(database)
        #expect(first.feed.keepsState)
        #expect(!second.feed.keepsState)
        await second.shutDown()
        await first.shutDown()
    }

    @Test func `a restored backup does not use positions a second time`() async throws {
        let database = try TemporaryDatabase(Self.setUp)
        let state = database.path + "-tablecast"
        let copy = state + "-backup"
        var (service, port) = try await start(database)
        await service.shutDown()
        try FileManager.default.copyItem(atPath: state, toPath: copy)
        // The time before the backup is restored.
        (service, port) = try await start(database)
        let (client, _) = try await subscribe(port)
        await client.close()
        let early = service.server.hub.position
        await service.shutDown()
        // The state as it was; the file is unchanged, so the epoch goes on.
        try FileManager.default.removeItem(atPath: state)
        try FileManager.default.moveItem(atPath: copy, toPath: state)
        (service, port) = try await start(database)
        let (again, begin) = try await subscribe(port, since: early)
        // Its incarnation is unknown to the restored state.
        #expect(begin.recovered == false)
        await again.close()
        await service.shutDown()
    }

    @Test func `a state that cannot be used never prevents the start`() async throws {
        let database = try TemporaryDatabase(Self.setUp)
        try Data("not a directory".utf8).write(to: URL(fileURLWithPath: database.path + "-tablecast"))
        let (service, port) = try await start(database)
        let (client, _) = try await subscribe(port)
        await client.close()
        #expect(!service.feed.keepsState)
        await service.shutDown()
    }

    @Test func `only as many transactions are restored as memory may hold, and the others are read from the disk`()
        async throws
    {
        let database = try TemporaryDatabase(Self.setUp)
        var limits = HistoryLimits()
        limits.maxTransactions = 3
        var (service, port) = try await start(database)
        var (client, begin) = try await subscribe(port)
        for value in 1...20 { try await client.run("UPDATE t SET v = \(value)") }
        await client.close()
        await service.shutDown()

        let since = try #require(begin.position)
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        do {
            var file = DatabaseConfiguration(path: database.path)
            file.state = .besideDatabase
            let opened = OpenedState(file, limits: StateLimits(), history: limits, logger)
            let earlier = try #require(opened.earlier)
            #expect(earlier.transactions.map(\.record.sequence) == [18, 19, 20])
            #expect(earlier.state.sequence == 20)
            #expect(opened.keeper?.base == 0)
            opened.keeper?.stop()
        }
        (service, port) = try await start(database, history: limits)
        (client, begin) = try await subscribe(port, since: since)
        #expect(begin.recovered == true)
        try await expectUpdates(1...20, client)
        await client.close()
        await service.shutDown()
    }

    @Test func `transactions that are no longer in memory are read from the disk`() async throws {
        let database = try TemporaryDatabase(Self.setUp)
        var configuration = ServerConfiguration()
        configuration.port = 0
        configuration.limits.hub.history.maxTransactions = 2
        var file = DatabaseConfiguration(path: database.path)
        file.state = .besideDatabase
        let service = try TablecastService(database: file, server: configuration)
        try await service.server.start()
        let port = try #require(service.server.port)
        var (client, begin) = try await subscribe(port)
        for value in 1...20 { try await client.run("UPDATE t SET v = \(value)") }
        await client.close()
        let since = try #require(begin.position)
        (client, begin) = try await subscribe(port, since: since)
        #expect(begin.recovered == true)
        try await expectUpdates(1...20, client)
        await client.close()
        await service.shutDown()
    }
}
