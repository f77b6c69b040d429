import SQLiteConnection
import Tablecast
import Testing
import WireProtocol

/// Live queries of an application, without a client.
@Suite(.timeLimit(.minutes(1))) struct LiveQueryTests {
    private func withService(
        _ sql: String,
        _ body: (TablecastService, _ write: (String) throws -> Void) async throws -> Void
    ) async throws {
        let database = try TemporaryDatabase(sql)
        let service = try TablecastService(database: DatabaseConfiguration(path: database.path))
        let writer = try Connection(path: database.path, mode: .readWrite)
        writer.setBusyTimeout(.seconds(20))
        try await body(service) { try writer.execute($0) }
        writer.close()
        await service.shutDown()
    }

    @Test func `an application iterates the rows of a query and what commits change in them`() async throws {
        try await withService("CREATE TABLE t(id INTEGER PRIMARY KEY, n); INSERT INTO t VALUES(1, 10)") {
            service,
            write in
            var updates = service.live("SELECT id, n FROM t WHERE n > ? ORDER BY id", [.integer(5)]).makeAsyncIterator()
            guard case .rows(let columns, let rows, _) = try await updates.next() else {
                Issue.record("no rows")
                return
            }
            #expect(columns == ["id", "n"])
            #expect(rows == [[.integer(1), .integer(10)]])
            try write("INSERT INTO t VALUES(2, 20), (3, 3)")
            guard case .changes(let changes, _) = try await updates.next() else {
                Issue.record("no changes")
                return
            }
            #expect(changes.map(\.after) == [[.integer(2), .integer(20)]])
            #expect(changes.map(\.index) == [1])
        }
    }

    @Test func `the iteration ends with the reason when the query cannot go on`() async throws {
        try await withService("CREATE TABLE t(id INTEGER PRIMARY KEY)") { service, write in
            var updates = service.live("SELECT id FROM t").makeAsyncIterator()
            _ = try await updates.next()
            try write("DROP TABLE t")
            let error = await #expect(throws: QueryError.self) { _ = try await updates.next() }
            #expect(error?.message.contains("no such table: t") == true)
        }
    }

    @Test func `an identity sees what its tables allow`() async throws {
        try await withService("CREATE TABLE t(id INTEGER PRIMARY KEY); CREATE TABLE other(id)") { service, _ in
            let identity = Identity(id: "eve", role: .readOnly, tables: ["t"])
            var updates = service.live("SELECT id FROM other", as: identity).makeAsyncIterator()
            let error = await #expect(throws: QueryError.self) { _ = try await updates.next() }
            #expect(error?.code == .notAuthorized)
        }
    }
}
