import ChangeCapture
import OracleSupport
import SQLiteConnection
import Testing

@Suite struct AddedColumnTests {
    /// Reads as the integer 0 while the row is older than the column; an update of the row stores the text '0'.
    private static let older = """
        CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES(1, 'a');
        ALTER TABLE t ADD COLUMN d TEXT DEFAULT FALSE
        """

    @Test(arguments: [
        (CaptureLevel.values, "t: update @1 (1, 'a', 0) → (1, 'a', '0')"), (.keys, "t: update @1"),
        (.counts, "t: +0 ~1 -0"),
    ])
    func `a default that an update stores with another type is a change`(level: CaptureLevel, line: String) throws {
        let alone = try CapturedWriter(level: level, setUp: Self.older, isolatesStatements: true)
        // Every other statement is announced as the only one of its transaction.
        #expect(alone.run("INSERT INTO t VALUES(2, 'b', 'c'); UPDATE t SET v = v").last?.lines == [line])
        #expect(alone.run("UPDATE t SET v = v; UPDATE t SET v = v").map(\.lines) == [[], []])
        let inTransaction = try Capture.lines(
            Self.older,
            "BEGIN; UPDATE t SET v = 'b'; UPDATE t SET v = 'a'; COMMIT",
            level: level
        )
        #expect(inTransaction == [[line]])
    }

    @Test(arguments: CaptureLevel.allCases)
    func `NULL in a column with a default stays unchanged by an update of another one`(level: CaptureLevel) throws {
        let commits = try Capture.lines(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v, d DEFAULT 'x'); INSERT INTO t VALUES(1, 'a', NULL)",
            "UPDATE t SET v = v",
            level: level
        )
        #expect(commits == [[]])
    }

    private static let hidden = """
        CREATE TABLE h(oid, rowid, _rowid_); INSERT INTO h VALUES('a', 1, 2), ('b', 3, 4), ('c', 5, 6)
        """
    private static let change = """
        INSERT INTO h(oid, rowid, _rowid_) VALUES('d', 7, 8); UPDATE h SET rowid = 0 WHERE oid = 'a'; DELETE FROM h WHERE oid = 'b';
        """

    @Test func `rows whose rowid no name reaches have the columns that the transaction adds`() throws {
        let commits = try Capture.lines(
            Self.hidden,
            "BEGIN; \(Self.change) ALTER TABLE h ADD COLUMN n INTEGER DEFAULT x'00ff'; COMMIT"
        )
        #expect(
            commits.map { $0.filter { $0.hasPrefix("h:") } } == [
                [
                    "h: delete @2 ('b', 3, 4, x0.ff)", "h: update @1 ('a', 1, 2, x0.ff) → ('a', 0, 2, x0.ff)",
                    "h: insert @4 → ('d', 7, 8, x0.ff)",
                ]
            ]
        )
    }

    @Test func `rows whose rowid no name reaches lack the columns that the transaction drops`() throws {
        let commits = try Capture.lines(
            Self.hidden + "; ALTER TABLE h ADD COLUMN n",
            "BEGIN; \(Self.change) ALTER TABLE h DROP COLUMN n; INSERT INTO h VALUES('e', 9, 9); COMMIT"
        )
        #expect(
            commits.map { $0.filter { $0.hasPrefix("h:") } } == [
                [
                    "h: delete @2 ('b', 3, 4)", "h: update @1 ('a', 1, 2) → ('a', 0, 2)",
                    "h: insert @4 → ('d', 7, 8)", "h: insert @5 → ('e', 9, 9)",
                ]
            ]
        )
    }
}
