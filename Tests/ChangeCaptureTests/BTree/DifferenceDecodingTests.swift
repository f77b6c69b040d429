import ChangeCapture
import OracleSupport
import SQLiteConnection
import Testing

/// Commits of which only the differing pages are known, as in a database with a rollback journal.
@Suite struct DifferenceDecodingTests {
    private final class Database {
        let connection: Connection
        let oracle: DecoderOracle
        private let scratch: ScratchDirectory
        private let path: String
        private var image: DatabaseImage

        init(_ setup: String) throws {
            scratch = try ScratchDirectory()
            path = scratch.file("difference.db")
            connection = try Connection(path: path, mode: .readWriteCreate)
            // Freed pages keep what they held.
            try connection.execute(
                "PRAGMA page_size = 512; PRAGMA secure_delete = OFF; PRAGMA synchronous = OFF;" + setup
            )
            image = try DatabaseImage(readBytes(path))
            oracle = try DecoderOracle(image, connection)
        }

        /// Runs transactions, and decodes their combined difference.
        func change(_ sql: String) throws {
            try connection.execute(sql)
            let after = try DatabaseImage(readBytes(path))
            let pages = image.differences(from: after)
            let commit = RecordedCommit(before: image, after: after, changedPages: pages)
            try oracle.check(commit, .differences, sql)
            image = after
        }
    }

    private static let rows = """
        WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 60)
        INSERT INTO t SELECT n, printf('%080d', n) FROM s;
        """

    @Test func `a table made on the page of an empty one that went is created`() throws {
        let database = try Database("CREATE TABLE t(a, b); CREATE TABLE first(x)")
        try database.change("DROP TABLE first")
        try database.change("CREATE TABLE second(y)")
        try database.change("DROP TABLE second; CREATE TABLE third(z); INSERT INTO third VALUES(1)")
        #expect(database.oracle.decoder.catalog.trees.contains { $0.layout?.table.name == "third" })
    }

    @Test func `rows that come back to the pages they had left are inserted`() throws {
        let database = try Database("CREATE TABLE t(a INTEGER PRIMARY KEY, b);" + Self.rows)
        try database.change("DELETE FROM t")
        try database.change(Self.rows)
        #expect(database.oracle.rowCount == 120)
    }

    @Test func `pages that went from one table to another with their bytes are both tables' changes`() throws {
        let database = try Database(
            "CREATE TABLE t(a INTEGER PRIMARY KEY, b); CREATE TABLE u(a INTEGER PRIMARY KEY, b);" + Self.rows
        )
        try database.change("DELETE FROM t; " + Self.rows.replacing("INTO t", with: "INTO u"))
        try database.change("DELETE FROM u; " + Self.rows)
        #expect(database.oracle.rowCount == 240)
    }

    @Test func `tables that swap names and pages at once are distinguished`() throws {
        let database = try Database("CREATE TABLE t(a INTEGER PRIMARY KEY, b);" + Self.rows)
        try database.change(
            "ALTER TABLE t RENAME TO old; CREATE TABLE t(a INTEGER PRIMARY KEY, b); INSERT INTO t SELECT * FROM old; DROP TABLE old; VACUUM"
        )
        try database.change("DELETE FROM t WHERE a > 30; VACUUM")
    }
}
