import ChangeCapture
import OracleSupport
import SQLiteConnection
import Testing

@Suite struct CommitDecoderTests {
    @Test func `rows come deletes first, then updates, then inserts`() throws {
        let scenario = try Scenario("CREATE TABLE t(id INTEGER PRIMARY KEY, x); INSERT INTO t VALUES(1, 'a'), (2, 'b')")
        let tables = try scenario.commit(
            "BEGIN; DELETE FROM t WHERE id = 2; UPDATE t SET x = 'A'; INSERT INTO t VALUES(3, 'c'); COMMIT"
        )
        #expect(tables.map(\.table.name) == ["t"])
        #expect(tables[0].summary(column: 1) == ["delete b -", "update a A", "insert - c"])
        #expect(tables[0].rows.map(\.rowid) == [2, 1, 3])
        #expect((tables[0].inserted, tables[0].updated, tables[0].deleted) == (1, 1, 1))
    }

    @Test func `rows that only moved between pages are silent`() throws {
        let scenario = try Scenario(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, x); INSERT INTO t SELECT 2 * value, printf('%.40c', 'x') FROM generate_series(1, 200)"
                .replacingSeries
        )
        // In the middle of full pages: they split.
        let tables = try scenario.commit("INSERT INTO t VALUES(201, 'new')")
        #expect(tables.flatMap { $0.summary(column: 1) } == ["insert - new"])
    }

    @Test func `an update to the same values is silent`() throws {
        let scenario = try Scenario("CREATE TABLE t(id INTEGER PRIMARY KEY, x, y); INSERT INTO t VALUES(1, 'a', 1)")
        #expect(
            try scenario.commit(
                "BEGIN; UPDATE t SET x = 'b'; UPDATE t SET x = 'a', y = y; INSERT INTO t VALUES(2, 0, 0); COMMIT"
            ).flatMap { $0.summary(column: 0) } == ["insert - 2"]
        )
    }

    @Test func `VACUUM is silent where rows keep their keys`() throws {
        let scenario = try Scenario(
            """
            CREATE TABLE gone(x); INSERT INTO gone VALUES(zeroblob(9000));
            CREATE TABLE t(id INTEGER PRIMARY KEY, x); CREATE TABLE w(k PRIMARY KEY, x) WITHOUT ROWID;
            INSERT INTO t SELECT value * 7, zeroblob(value * 10) FROM generate_series(1, 150);
            INSERT INTO w SELECT value * 7, zeroblob(value * 10) FROM generate_series(1, 150);
            DROP TABLE gone; DELETE FROM t WHERE id % 2; DELETE FROM w WHERE k % 2
            """.replacingSeries
        )
        #expect(try scenario.commit("VACUUM").isEmpty)
        // The roots moved, and the decoder has followed.
        #expect(try scenario.commit("DELETE FROM w WHERE k = 14").flatMap { $0.summary(column: 0) } == ["delete 14 -"])
    }

    @Test func `pages that were freed without being written give their rows`() throws {
        let scenario = try Scenario(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, x); INSERT INTO t SELECT value, zeroblob(100) FROM generate_series(1, 300)"
                .replacingSeries
        )
        let tables = try scenario.commit("DELETE FROM t")
        #expect(tables.map(\.deleted) == [300])
        #expect(scenario.decoder.statistics.freedPages > 50)
        #expect(tables[0].rows.map(\.rowid) == (1...300).map { $0 })
    }

    @Test(arguments: [0, 1])
    func `a value overwritten in place under an unchanged leaf is an update`(_ autoVacuum: Int) throws {
        let scenario = try Scenario(
            """
            CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB); INSERT INTO t VALUES(1, zeroblob(5000)), (2, zeroblob(5000));
            CREATE TABLE w(k PRIMARY KEY, x) WITHOUT ROWID; INSERT INTO w VALUES(1, zeroblob(5000)), (2, zeroblob(4000))
            """,
            settings: "PRAGMA page_size = 512; PRAGMA auto_vacuum = \(autoVacuum);"
        )
        for round in 1...3 {
            let tables = try scenario.commit(
                "UPDATE t SET x = CAST(substr(x, 1, 4000) || x'0\(round)' || substr(x, 4002) AS BLOB) WHERE id = 2"
            )
            #expect(tables.count == 1)
            #expect(tables.first?.rows.map(\.rowid) == [2])
            guard case .blob(let bytes)? = tables.first?.rows.first?.after?[1] else {
                Issue.record("no row")
                return
            }
            #expect(bytes.count == 5000)
            #expect(bytes[4000] == UInt8(round))
            #expect(bytes.count { $0 != 0 } == 1)
            #expect(scenario.last?.changedPages.count == 1, "SQLite writes one overflow page")
        }
        let tables = try scenario.commit(
            "UPDATE w SET x = CAST(substr(x, 1, 3000) || x'07' || substr(x, 3002) AS BLOB) WHERE k = 1"
        )
        #expect(tables.flatMap { $0.summary(column: 0) } == ["update 1 1"])
    }

    @Test func `a key equal under its collation goes before it comes`() throws {
        let scenario = try Scenario(
            "CREATE TABLE w(k TEXT COLLATE NOCASE PRIMARY KEY, x) WITHOUT ROWID; INSERT INTO w VALUES('abc', 1), ('b', 2)"
        )
        let tables = try scenario.commit(
            "BEGIN; UPDATE w SET k = 'ABC' WHERE x = 1; UPDATE w SET x = 3 WHERE k = 'b'; COMMIT"
        )
        #expect(tables[0].summary(column: 0) == ["delete abc -", "update b b", "insert - ABC"])
    }

    @Test func `a created table's rows are insertions, a dropped table's rows are not reported`() throws {
        let scenario = try Scenario("CREATE TABLE a(x); INSERT INTO a VALUES(1), (2)")
        let tables = try scenario.commit("BEGIN; CREATE TABLE b AS SELECT * FROM a; DROP TABLE a; COMMIT")
        #expect(tables.map(\.table.name) == ["b"])
        #expect(tables[0].summary(column: 0) == ["insert - 1", "insert - 2"])
    }

    @Test func `a table that takes another's name is compared with it row by row`() throws {
        let scenario = try Scenario(
            """
            CREATE TABLE a(id INTEGER PRIMARY KEY, x); INSERT INTO a VALUES(1, 'same'), (2, 'old'), (3, 'gone');
            CREATE TABLE b(id INTEGER PRIMARY KEY, x); INSERT INTO b VALUES(1, 'same'), (2, 'new')
            """
        )
        // No page of b is written.
        let tables = try scenario.commit("BEGIN; DROP TABLE a; ALTER TABLE b RENAME TO a; COMMIT")
        #expect(tables.map(\.table.name) == ["a"])
        #expect(tables[0].summary(column: 1) == ["delete gone -", "update old new"])
    }

    @Test func `rows are reported in the columns after the commit`() throws {
        let scenario = try Scenario(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b); INSERT INTO t VALUES(1, 'a1', 'b1'), (2, 'a2', 'b2')"
        )
        let tables = try scenario.commit(
            "BEGIN; ALTER TABLE t DROP COLUMN a; ALTER TABLE t ADD COLUMN c DEFAULT 'dc'; UPDATE t SET b = 'B' WHERE id = 2; COMMIT"
        )
        #expect(tables.count == 1)
        #expect(tables[0].rows.count == 1)
        #expect(tables[0].rows[0].before?.values == [.integer(2), .text("b2"), .text("dc")])
        #expect(tables[0].rows[0].after?.values == [.integer(2), .text("B"), .text("dc")])
    }

    @Test func `a column renamed or added leaves the rows silent`() throws {
        let scenario = try Scenario("CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES(1, 'a1')")
        #expect(try scenario.commit("ALTER TABLE t RENAME COLUMN a TO b").isEmpty)
        #expect(try scenario.commit("ALTER TABLE t ADD COLUMN c DEFAULT 5").isEmpty)
        #expect(
            try scenario.commit("UPDATE t SET b = 2").flatMap { $0.rows.map { $0.after?.values } } == [
                [.integer(1), .integer(2), .integer(5)]
            ]
        )
    }

    @Test func `only changes of the schema ask for a new catalog`() throws {
        let scenario = try Scenario("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
        for (sql, expected) in [
            ("INSERT INTO t VALUES(1, 1)", false), ("CREATE INDEX i ON t(a)", true), ("PRAGMA user_version = 7", false),
            ("ALTER TABLE t ADD COLUMN b", true), ("DELETE FROM t", false), ("VACUUM", true),
        ] {
            let (commit, transition) = try scenario.record(sql)
            if case .unchanged = transition { #expect(!expected, "\(sql)") } else { #expect(expected, "\(sql)") }
            _ = try scenario.decoder.decode(
                before: commit.before,
                after: commit.after,
                changedPages: commit.changedPages,
                schema: transition
            )
        }
    }

    @Test func `a commit whose pages are all as they were is empty`() throws {
        let scenario = try Scenario("CREATE TABLE t(x); INSERT INTO t VALUES(1)")
        try scenario.commit("INSERT INTO t VALUES(2)")
        let commit = try #require(scenario.last)
        let tables = try scenario.decoder.decode(
            before: commit.after,
            after: commit.after,
            changedPages: commit.changedPages
        )
        #expect(tables.isEmpty)
        #expect(scenario.decoder.statistics.emptyCommits == 1)
    }

    @Test func `past the limit of rows counts remain, and rows are left out`() throws {
        let scenario = try Scenario("CREATE TABLE t(x); CREATE TABLE u(x)")
        let tables = try scenario.commit(
            "BEGIN; INSERT INTO t SELECT value FROM generate_series(1, 500); INSERT INTO u VALUES(1); COMMIT"
                .replacingSeries,
            limits: CaptureLimits(maxRows: 100)
        )
        #expect(tables.map(\.inserted) == [500, 1])
        #expect(tables[0].rows.isEmpty)
        #expect(tables[0].rowsOmitted)
        #expect(tables[0].detail == .counts)
    }

    @Test func `past the limit of bytes keys remain`() throws {
        let scenario = try Scenario(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, x); CREATE TABLE w(k PRIMARY KEY, x) WITHOUT ROWID"
        )
        let tables = try scenario.commit(
            "BEGIN; INSERT INTO t SELECT value, zeroblob(100) FROM generate_series(1, 50); INSERT INTO w VALUES('key', zeroblob(2000)); COMMIT"
                .replacingSeries,
            limits: CaptureLimits(maxValueBytes: 1000)
        )
        #expect(tables.map(\.detail) == [.keys, .keys])
        #expect(tables.map(\.rowsOmitted) == [true, true])
        #expect(tables[0].rows.map(\.rowid) == (1...50).map { $0 })
        #expect(tables[0].rows.allSatisfy { $0.after == nil })
        #expect(tables[1].rows.map { $0.after?.values } == [[.text("key")]])
    }

    @Test func `a row larger than the limit is reported by its key`() throws {
        let scenario = try Scenario(
            """
            CREATE TABLE t(id INTEGER PRIMARY KEY, x); INSERT INTO t VALUES(1, zeroblob(2000000)), (2, zeroblob(2000000));
            CREATE TABLE w(k PRIMARY KEY, x) WITHOUT ROWID; INSERT INTO w VALUES('key', zeroblob(2000000))
            """
        )
        let tables = try scenario.commit(
            "BEGIN; UPDATE t SET x = zeroblob(2000001) WHERE id = 1; DELETE FROM t WHERE id = 2; UPDATE w SET x = zeroblob(2000001); COMMIT",
            limits: CaptureLimits(maxValueBytes: 1_000_000)
        )
        #expect(tables.map(\.detail) == [.keys, .keys])
        #expect(tables[0].rows.map(\.rowid) == [2, 1])
        #expect(tables[1].rows.map { $0.after?.values } == [[.text("key")]])
        #expect(tables.map(\.updated) == [1, 1])
    }

    @Test func `only keys are reported when no more is requested`() throws {
        let scenario = try Scenario(
            "CREATE TABLE w(x, k PRIMARY KEY) WITHOUT ROWID; INSERT INTO w VALUES(1, 'a'), (2, 'b')"
        )
        let tables = try scenario.commit(
            "BEGIN; UPDATE w SET x = 3 WHERE k = 'a'; DELETE FROM w WHERE k = 'b'; COMMIT",
            level: .keys
        )
        #expect(
            tables[0].rows.map { [$0.before?.values, $0.after?.values] } == [
                [[.text("b")], nil], [[.text("a")], [.text("a")]],
            ]
        )
        #expect(!tables[0].rowsOmitted)
    }

    @Test func `an empty file becomes a database`() throws {
        let empty = EmptyDatabase()
        let decoder = try CommitDecoder(empty, catalog: TreeCatalog(encoding: .utf8, trees: []))
        let scenario = try Scenario("CREATE TABLE t(x); INSERT INTO t VALUES(1)")
        let (commit, _) = try scenario.record("INSERT INTO t VALUES(2)")
        let pages = Array(1...commit.after.pageCount)
        #expect(try decoder.touchesSchema(before: empty, after: commit.after, changedPages: pages))
        let catalog = scenario.decoder.catalog
        let created = catalog.trees.compactMap { $0.layout.map { SchemaChange.created($0.table) } }
        let tables = try decoder.decode(
            before: empty,
            after: commit.after,
            changedPages: pages,
            schema: .changed(catalog, created)
        )
        #expect(tables.flatMap { $0.summary(column: 0) } == ["insert - 1", "insert - 2"])
    }

    @Test func `a list without a page of the commit is found out`() throws {
        let scenario = try Scenario(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, x); INSERT INTO t SELECT value, zeroblob(100) FROM generate_series(1, 20)"
                .replacingSeries
        )
        let (commit, _) = try scenario.record(
            "INSERT INTO t SELECT value, zeroblob(100) FROM generate_series(21, 60)".replacingSeries
        )
        let incomplete = commit.changedPages.filter { $0 != commit.after.pageCount }
        let error = try #require(throws: WALDecodeError.self) {
            try scenario.decoder.decode(before: commit.before, after: commit.after, changedPages: incomplete)
        }
        #expect(error == WALDecodeError(page: commit.after.pageCount, .unwrittenPageJoinedTree))
    }
}

/// A file of 0 bytes.
private struct EmptyDatabase: PageReader {
    var pageSize: Int { 512 }
    var usableSize: Int { 512 }
    var pageCount: UInt32 { 0 }

    func withPage<R>(
        _ number: UInt32,
        _ body: (UnsafeRawBufferPointer) throws(WALDecodeError) -> R
    ) throws(WALDecodeError) -> R {
        throw WALDecodeError(page: number, .pageOutOfRange)
    }
}

extension String {
    /// `generate_series` is an extension that not every build of SQLite has.
    fileprivate var replacingSeries: String {
        replacing(/generate_series\((\d+), (\d+)\)/) { match in
            "(WITH RECURSIVE s(value) AS (SELECT \(match.1) UNION ALL SELECT value + 1 FROM s WHERE value < \(match.2)) SELECT value FROM s)"
        }
    }
}
