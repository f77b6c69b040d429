import QueryEngine
import SQLiteConnection
import Testing

struct ParameterTests {
    @Test func `positional values are taken in order, over the statements of a script`() async throws {
        let harness = try Harness("CREATE TABLE t(a, b)")
        let values: [SQLiteValue] = [.integer(.max), .text("é"), .real(0.5), .blob([])]
        let (end, log) = await harness.run("INSERT INTO t VALUES (?, ?); SELECT a, b, ?, ? FROM t", .positional(values))
        #expect(end.outcome != nil)
        #expect(log.rows == [values])
    }

    @Test func `numbered parameters may repeat`() async throws {
        let harness = try Harness()
        let log = await harness.run("SELECT ?2, ?1, ?2", .positional([.integer(1), .integer(2)])).log
        #expect(log.rows == [[.integer(2), .integer(1), .integer(2)]])
    }

    @Test func `named values match with and without their prefix`() async throws {
        let harness = try Harness()
        let values: [(name: String, value: SQLiteValue)] = [
            ("a", .integer(1)), ("@b", .integer(2)), ("c", .integer(3)), ("4", .null),
        ]
        #expect(
            await harness.run("SELECT :a, @b, $c, ?4", .named(values)).log.rows == [
                [.integer(1), .integer(2), .integer(3), .null]
            ]
        )
    }

    @Test(
        arguments: [
            ("SELECT ?, ?", QueryParameters.positional([.null]), "?2"),
            ("SELECT ?", .positional([.null, .null]), "1 parameter, and 2 values"),
            ("SELECT :name", .none, ":name"),
            ("SELECT :name", .named([("other", .null)]), ":name"),
            ("SELECT :a", .named([("a", .null), ("b", .null)]), "named b"),
            ("SELECT ?", .named([("a", .null)]), "has no name"),
            ("SELECT 1; SELECT ?", .positional([]), "?1"),
            ("SELECT :a", .named([(":a", .null), ("a", .null)]), "two values for parameter :a"),
        ]
    )
    func `a wrong parameter is an error that names it`(sql: String, parameters: QueryParameters, text: String)
        async throws
    {
        let harness = try Harness()
        let failure = await harness.run(sql, parameters).end.failure
        #expect(failure?.code == .sqlError)
        #expect(failure?.message.contains(text) == true, "\(failure?.message ?? "it ran")")
    }

    @Test(
        arguments: [
            "SELECT 1; SELECT :no", "DELETE FROM t; SELECT :no", "SELECT 1; SELECT * FROM nowhere",
            "DELETE FROM t; SELECT * FROM nowhere", "DELETE FROM t; ATTACH '' AS b",
        ]
    )
    func `a statement of a script that cannot run is found at its byte`(sql: String) async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        let failure = await harness.run(sql).end.failure
        let start = sql.utf8.count - sql.split(separator: "; ")[1].utf8.count
        #expect(failure?.statementIndex == 1)
        // Where SQLite knows better, within the statement.
        #expect(failure?.offset.map { $0 >= start } == true, "\(failure?.message ?? "")")
    }

    @Test func `a refused statement of a script is found at its byte`() async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        let failure = await harness.run("SELECT 1; DELETE FROM t") { $0.policy = .readOnly }.end.failure
        #expect(failure?.code == .readOnly)
        #expect(failure?.statementIndex == 1)
        #expect(failure?.offset == 10)
    }

    @Test func `a value too many is found before anything is written`() async throws {
        let harness = try Harness("CREATE TABLE t(v)")
        #expect(await harness.run("INSERT INTO t VALUES (?)", .positional([.null, .null])).end.failure != nil)
        #expect(try harness.database.query("SELECT count(*) FROM t") == [[.integer(0)]])
    }
}
