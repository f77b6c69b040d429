import OracleSupport
import SQLiteConnection
import Testing

@testable import ChangeCapture

/// The values that SQLite reads in assembled records, compared with those that it reads in a file.
@Suite struct RecordReaderTests {
    private static let encodings = ["UTF-8", "UTF-16le", "UTF-16be"]

    private func connection(_ sql: String, encoding: String = "UTF-8") throws -> Connection {
        let connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        try connection.execute("PRAGMA encoding = '\(encoding)'; \(sql)")
        return connection
    }

    private func reader(_ connection: Connection) throws -> RecordReader {
        try RecordReader(encoding: TextEncoding.read(from: connection))
    }

    private func table(_ name: String, _ connection: Connection) throws -> SchemaSnapshot.Table {
        try #require(try SchemaSnapshot.load(from: connection)[name])
    }

    @Test(arguments: encodings, ["", " WITHOUT ROWID"])
    func `a missing field has the default that SQLite reads, in every spelling`(_ encoding: String, _ suffix: String)
        throws
    {
        let connection = try connection("", encoding: encoding)
        let records = try reader(connection)
        for definition in ColumnDefinitions.withDefault {
            try connection.execute("DROP TABLE IF EXISTS t; CREATE TABLE t(a TEXT PRIMARY KEY, b)\(suffix)")
            try connection.execute("INSERT INTO t VALUES('x', 'y')")
            do { try connection.execute("ALTER TABLE t ADD COLUMN c \(definition)") } catch { continue }
            let table = try table("t", connection)
            let expected = try connection.query("SELECT c FROM t")[0][0]
            #expect(
                try records.missingValues(table.description, table.fields) == [.null, .null, expected],
                "\(definition)"
            )
        }
    }

    @Test(arguments: encodings)
    func `a missing first field reads as what DROP COLUMN of the one before stores`(_ encoding: String) throws {
        let connection = try connection("", encoding: encoding)
        let records = try reader(connection)
        for definition in ColumnDefinitions.withDefault {
            try connection.execute("DROP TABLE IF EXISTS t; CREATE TABLE t(a); INSERT INTO t VALUES('x')")
            do { try connection.execute("ALTER TABLE t ADD COLUMN c \(definition)") } catch { continue }
            try connection.execute("ALTER TABLE t DROP COLUMN a")
            let table = try table("t", connection)
            let expected = try connection.query("SELECT c FROM t")[0][0]
            #expect(try records.missingValues(table.description, table.fields) == [expected], "\(definition)")
        }
    }

    @Test(arguments: encodings)
    func `virtual columns are computed as a query reads them`(_ encoding: String) throws {
        let long = String(repeating: "\u{e9}", count: 20_000)
        let connection = try connection(
            """
            CREATE TABLE t(id INTEGER PRIMARY KEY, a, b REAL, u AS (upper(a)), s AS (a || b) STORED,
                j AS (CASE WHEN json_valid(a) THEN a ->> '$.x' END), h AS (hex(a)), r REAL AS (id), p AS (id + length(s)));
            WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 500)
            INSERT INTO t(id, a, b) SELECT i - 100, CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN '{"x":' || i || '}'
                WHEN 2 THEN i WHEN 3 THEN x'01' ELSE '"' || substr('\(long)', 1, i * 40) || '"' END, i FROM n;
            UPDATE t SET a = i FROM (SELECT 1.5 AS i) WHERE a IS x'01';
            """,
            encoding: encoding
        )
        let table = try table("t", connection)
        let expected = try connection.query("SELECT id, * FROM t ORDER BY id").map { row in
            guard case .integer(let id) = row[0] else { return (rowid: Int64(0), row: Row([])) }
            return (rowid: id, row: Row(Array(row.dropFirst())))
        }
        let virtual = [3, 5, 6, 7, 8]
        var rows = expected.map { row in
            var values = row.row.values
            for column in virtual { values[column] = .null }
            return (rowid: row.rowid, row: Row(values))
        }
        try reader(connection).compute(virtual, of: table.description, table.fields, in: &rows)
        #expect(rows.map(\.row) == expected.map(\.row))
    }

    @Test func `a key that names columns twice is read in its own order`() throws {
        let connection = try connection(
            """
            CREATE TABLE t(c, b, v AS (a || '-' || b || '-' || c), a, e UNIQUE,
                PRIMARY KEY(a COLLATE NOCASE, b, a, b COLLATE RTRIM, b)) WITHOUT ROWID;
            INSERT INTO t VALUES(1, 2, 3, 4), (5, 'x', 'Y', 8);
            """
        )
        let table = try table("t", connection)
        #expect(table.fields.columns == [3, 1, 3, 1, 0, 4])
        #expect(table.fields.keyCount == 4)
        #expect(table.fields.keyIndex == SQLName("sqlite_autoindex_t_2"))
        let expected = try connection.query("SELECT * FROM t").map(Row.init)
        var rows = expected.map { row in
            var values = row.values
            values[2] = .null
            return (rowid: Int64(0), row: Row(values))
        }
        try reader(connection).compute([2], of: table.description, table.fields, in: &rows)
        #expect(rows.map(\.row) == expected)
    }

    @Test func `when SQLite cannot compute a column the error names it`() throws {
        let connection = try connection("CREATE TABLE t(a, j AS (json_extract(a, '$')), k AS (a))")
        let table = try table("t", connection)
        var rows = [(rowid: Int64(1), row: Row([.text("no json"), .null, .null]))]
        let records = try reader(connection)
        #expect(throws: SQLiteError.self) {
            try records.compute([1, 2], of: table.description, table.fields, in: &rows)
        }
        // The next one is not disturbed.
        try records.compute([2], of: table.description, table.fields, in: &rows)
        #expect(rows[0].row.values == [.text("no json"), .null, .text("no json")])
    }
}
