import Foundation
import RandomSupport
import SQLiteConnection
import Synchronization
import Tablecast
import Testing
import WireProtocol

/// A replica built only from a client's messages must equal the database, whichever process wrote, whenever the client
/// connected.
@Suite(.timeLimit(.minutes(2))) struct ReplicaTests {
    static let schema = """
        CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, price REAL);
        CREATE TABLE notes(body);
        CREATE TABLE tags(k TEXT PRIMARY KEY, n) WITHOUT ROWID;
        """
    static let tables = ["items", "notes", "tags"]

    @Test(arguments: [UInt64.random(in: 0..<1_000_000), 1, 2])
    func `snapshots and what follows them equal the database while two writers work`(seed: UInt64) async throws {
        print("seed \(seed)")
        let database = try TemporaryDatabase(Self.schema)
        var configuration = ServerConfiguration()
        configuration.port = 0
        let service = try TablecastService(database: DatabaseConfiguration(path: database.path), server: configuration)
        try await service.server.start()
        let port = try #require(service.server.port)

        // A process that does not know the service.
        let stranger = Stranger(path: database.path, seed: seed, transactions: 400)
        stranger.start()

        let writer = try await TestClient(port)
        var random = SeededGenerator(seed: seed)
        var readers: [Task<MessageReplica, any Error>] = []
        for round in 0..<5 {
            readers.append(Task { try await Self.follow(port) })
            for _ in 0..<10 {
                let end = try await writer.run(Statements.random(&random, who: round))
                if case .queryError(let error) = end.payload, error.code != .busy, error.code != .constraint {
                    Issue.record("\(error)")
                }
            }
        }
        await stranger.finished()
        readers.append(Task { try await Self.follow(port) })
        let end = try await writer.run("INSERT INTO notes VALUES('\(Self.farewell)')")
        guard case .queryComplete(let complete) = end.payload, let last = complete.position else {
            Issue.record("\(end)")
            return
        }
        let truth = try Connection(path: database.path, mode: .readOnly)
        for (index, reader) in readers.enumerated() {
            let replica = try await reader.value
            #expect(replica.mismatches.isEmpty, "reader \(index): \(replica.mismatches.prefix(3))")
            for table in Self.tables {
                #expect(replica.rows(of: table) == (try truth.wireRows(of: table)), "reader \(index), \(table)")
            }
            #expect(replica.position == last)
        }
        print("seed \(seed): a stranger committed \(stranger.commits) times; positions up to \(last)")
        await writer.close()
        await service.shutDown()
    }

    /// What is written last.
    private static let farewell = "the end"

    /// Takes a snapshot and receives changes until the final one has arrived.
    private static func follow(_ port: Int) async throws -> MessageReplica {
        let client = try await TestClient(port)
        try await client.send(#"{"type":"subscribe","channel":"tables","data":{"rows":"values","snapshot":true}}"#)
        var replica = MessageReplica()
        while replica.completeTables < tables.count || !replica.contains(in: "notes", "body", .text(farewell)) {
            replica.apply(try await client.next())
        }
        await client.close()
        return replica
    }
}

/// Another user of the file, on its own thread and at full speed.
final class Stranger: Sendable {
    private let path: String
    private let seed: UInt64
    private let transactions: Int
    private let count = Atomic<Int>(0)
    private let ended = AsyncStream<Void>.makeStream()

    init(path: String, seed: UInt64, transactions: Int) {
        self.path = path
        self.seed = seed
        self.transactions = transactions
    }

    var commits: Int { count.load(ordering: .relaxed) }

    func start() {
        Thread.detachNewThread { [self] in
            var random = SeededGenerator(seed: seed &+ 77)
            if let connection = try? Connection(path: path, mode: .readWrite) {
                connection.setBusyTimeout(.seconds(5))
                for _ in 0..<transactions {
                    do {
                        try connection.execute("BEGIN IMMEDIATE; \(Statements.random(&random, who: 99)); COMMIT")
                        count.add(1, ordering: .relaxed)
                    } catch {
                        try? connection.execute("ROLLBACK")
                    }
                }
            }
            ended.continuation.finish()
        }
    }

    func finished() async {
        for await _ in ended.stream {}
    }
}

enum Statements {
    /// One to three statements on the tables of ``ReplicaTests/schema``.
    static func random(_ random: inout SeededGenerator, who: Int) -> String {
        (0..<Int.random(in: 1...3, using: &random)).map { _ in one(&random, who: who) }.joined(separator: ";")
    }

    private static func one(_ random: inout SeededGenerator, who: Int) -> String {
        let id = Int.random(in: 1...40, using: &random)
        let number = Int.random(in: 0...9, using: &random)
        switch Int.random(in: 0...9, using: &random) {
        case 0, 1: return "INSERT OR REPLACE INTO items VALUES(\(id), 'by \(who)', \(number).5)"
        case 2: return "UPDATE items SET price = price + \(number) WHERE id % 5 = \(number % 5)"
        case 3: return "DELETE FROM items WHERE id = \(id)"
        case 4: return "INSERT INTO notes VALUES('note \(number) by \(who)'), (x'0\(number)'), (NULL)"
        case 5: return "DELETE FROM notes WHERE rowid % 7 = \(number % 7)"
        case 6: return "INSERT INTO tags VALUES('k\(id)', \(number)) ON CONFLICT(k) DO UPDATE SET n = n + 1"
        case 7: return "UPDATE OR REPLACE tags SET k = 'k\(id)' WHERE k = 'k\(id % 10)'"
        case 8: return "DELETE FROM tags WHERE k > 'k3'"
        default: return "UPDATE items SET id = \(id + 100) WHERE id = \(id)"
        }
    }
}
