import ChangeCapture
import QueryEngine
import SQLiteConnection
import Testing

struct RowWriteTests {
    private static let schema = """
        CREATE TABLE note(id INTEGER PRIMARY KEY, body TEXT, stars REAL, words AS (length(body)));
        INSERT INTO note VALUES (1, 'one', 3.0), (2, 'two', NULL);
        """

    @Test func `a row is updated by its key and comes back as it is then`() async throws {
        let harness = try Harness(Self.schema)
        let (end, log) = await harness.write(
            RowWrite(
                .update,
                table: "note",
                key: cells(["id": .integer(1)]),
                before: cells(["body": .text("one")]),
                values: cells(["body": .text("first")])
            )
        )
        let outcome = try #require(end.outcome)
        #expect(outcome.changes == 1)
        #expect(outcome.receipt == "test:1")
        #expect(log.image == ["id": .integer(1), "body": .text("first"), "stars": .real(3), "words": .integer(5)])
        #expect(try harness.database.query("SELECT body FROM note ORDER BY id") == [[.text("first")], [.text("two")]])
    }

    /// Swift takes the quote and the mark for one character.
    @Test func `names with a quote before a combining mark are written and read under rules`() async throws {
        let (table, column) = ("t\"\u{301}", "c\"\u{301} x\"")
        let (quotedTable, quotedColumn) = ("\"t\"\"\u{301}\"", "\"c\"\"\u{301} x\"\"\"")
        #expect(table.quotedAsIdentifier == quotedTable && column.quotedAsIdentifier == quotedColumn)
        let harness = try Harness("CREATE TABLE \(quotedTable)(id INTEGER PRIMARY KEY, \(quotedColumn))")
        let write = RowWrite(.insert, table: table, values: cells(["id": .integer(1), column: .text("a")]))
        #expect(await harness.write(write).end.outcome?.changes == 1)
        var policy = SQLPolicy(level: .readOnly, readableTables: [table])
        policy.rowRules = SQLRowRules(rules: [.init(table: table, condition: "id = 1")], claims: [:])
        let (end, log) = await harness.run("SELECT \(quotedColumn) FROM \(quotedTable)") { $0.policy = policy }
        #expect(end.failure == nil && log.rows == [[.text("a")]])
    }

    @Test func `a row that changed meanwhile is a conflict, with the row as it is`() async throws {
        let harness = try Harness(Self.schema)
        let (end, log) = await harness.write(
            RowWrite(
                .update,
                table: "note",
                key: cells(["id": .integer(1)]),
                before: cells(["body": .text("uno"), "stars": .integer(3)]),
                values: cells(["body": .text("first")])
            )
        )
        let failure = try #require(end.failure)
        #expect(failure.code == .conflict)
        #expect(failure.message.hasSuffix("changed meanwhile: body"))
        #expect(log.image?["body"] == .text("one"))
        #expect(harness.commits.all.isEmpty)
        #expect(try harness.database.query("SELECT body FROM note WHERE id = 1") == [[.text("one")]])
    }

    @Test func `a row that is gone is a conflict without a row`() async throws {
        let harness = try Harness(Self.schema)
        for operation in [RowWrite.Operation.update, .delete] {
            let values = operation == .update ? cells(["body": .null]) : []
            let (end, log) = await harness.write(
                RowWrite(operation, table: "note", key: cells(["id": .integer(9)]), values: values)
            )
            #expect(end.failure?.code == .conflict)
            #expect(log.image == nil)
        }
    }

    @Test func `a row is inserted with its defaults, and deleted if it is what was seen`() async throws {
        let harness = try Harness("CREATE TABLE t(id INTEGER PRIMARY KEY, v DEFAULT 'new', w DEFAULT 7)")
        let (inserted, log) = await harness.write(RowWrite(.insert, table: "T", values: cells(["w": .integer(1)])))
        #expect(inserted.outcome?.lastInsertRowid == 1)
        #expect(log.image == ["id": .integer(1), "v": .text("new"), "w": .integer(1)])
        let (bare, _) = await harness.write(RowWrite(.insert, table: "t"))
        #expect(bare.outcome?.lastInsertRowid == 2)
        let (stale, _) = await harness.write(
            RowWrite(.delete, table: "t", key: cells(["id": .integer(1)]), before: cells(["w": .integer(7)]))
        )
        #expect(stale.failure?.code == .conflict)
        let (deleted, gone) = await harness.write(
            RowWrite(.delete, table: "t", key: cells(["id": .integer(1)]), before: cells(["w": .integer(1)]))
        )
        #expect(deleted.outcome?.changes == 1)
        #expect(gone.image == nil)
        #expect(try harness.database.query("SELECT id FROM t") == [[.integer(2)]])
    }

    @Test func `a new key is found again`() async throws {
        let harness = try Harness(
            Self.schema
                + "CREATE TABLE w(a TEXT COLLATE NOCASE, b, v, PRIMARY KEY(a, b)) WITHOUT ROWID; INSERT INTO w VALUES ('x', 1, 'v')"
        )
        let (_, moved) = await harness.write(
            RowWrite(.update, table: "note", key: cells(["id": .integer(1)]), values: cells(["id": .integer(50)]))
        )
        #expect(moved.image?["id"] == .integer(50))
        let (end, renamed) = await harness.write(
            RowWrite(
                .update,
                table: "w",
                key: cells(["b": .integer(1), "a": .text("X")]),
                values: cells(["a": .text("y"), "b": .integer(2)])
            )
        )
        #expect(end.outcome?.changes == 1)
        #expect(renamed.image == ["a": .text("y"), "b": .integer(2), "v": .text("v")])
        #expect(renamed.rowid == nil)
    }

    @Test func `rows whose key is NULL are distinguished only by their rowid`() async throws {
        let harness = try Harness(
            "CREATE TABLE t(k TEXT PRIMARY KEY, v); INSERT INTO t VALUES (NULL, 'a'), (NULL, 'b'), ('k', 'c')"
        )
        let (ambiguous, _) = await harness.write(
            RowWrite(.update, table: "t", key: cells(["k": .null]), values: cells(["v": .text("x")]))
        )
        #expect(ambiguous.failure?.code == .sqlError)
        #expect(ambiguous.failure?.message.contains("give the rowid") == true)
        let (end, log) = await harness.write(
            RowWrite(.update, table: "t", rowid: 2, key: cells(["k": .null]), values: cells(["v": .text("x")]))
        )
        #expect(end.outcome?.changes == 1)
        #expect(log.rowid == 2)
        let (moved, _) = await harness.write(RowWrite(.delete, table: "t", rowid: 3, key: cells(["k": .text("other")])))
        #expect(moved.failure?.code == .conflict)
        #expect(
            try harness.database.query("SELECT v FROM t ORDER BY rowid") == [[.text("a")], [.text("x")], [.text("c")]]
        )
    }

    @Test func `a table without a primary key is written by its rowid, whatever its columns are called`() async throws {
        let harness = try Harness(
            "CREATE TABLE t(rowid, v); INSERT INTO t VALUES ('mine', 1); CREATE TABLE p(v); INSERT INTO p VALUES (1)"
        )
        let (end, log) = await harness.write(RowWrite(.update, table: "t", rowid: 1, values: cells(["v": .integer(2)])))
        #expect(end.outcome?.changes == 1)
        #expect(log.image == ["rowid": .text("mine"), "v": .integer(2)])
        let (plain, _) = await harness.write(
            RowWrite(.update, table: "p", key: cells(["rowid": .integer(1)]), values: cells(["v": .integer(2)]))
        )
        #expect(plain.outcome?.changes == 1)
        let (restored, image) = await harness.write(
            RowWrite(.insert, table: "p", rowid: 70, values: cells(["v": .integer(3)]))
        )
        #expect(restored.outcome?.lastInsertRowid == 70)
        #expect(image.rowid == 70)
        let (taken, _) = try await Harness("CREATE TABLE n(rowid, _rowid_, oid); INSERT INTO n VALUES (1, 2, 3)").write(
            RowWrite(.delete, table: "n", rowid: 1)
        )
        #expect(taken.failure?.message.contains("all names of the rowid") == true)
    }

    @Test func `what cannot be written is refused with its name`() async throws {
        let harness = try Harness(
            Self.schema
                + "CREATE VIEW v AS SELECT * FROM note; CREATE VIRTUAL TABLE f USING fts5(x); CREATE TABLE w(a PRIMARY KEY) WITHOUT ROWID; CREATE TABLE i(a INTEGER PRIMARY KEY AUTOINCREMENT)"
        )
        let key = cells(["id": .integer(1)])
        for (write, expected) in [
            (
                RowWrite(.update, table: "note", key: key, values: cells(["words": .integer(1)])),
                "words is a generated column"
            ),
            (RowWrite(.update, table: "note", key: key, values: cells(["nope": .null])), "no column named nope"),
            (
                RowWrite(
                    .update,
                    table: "note",
                    key: key,
                    before: cells(["nope": .null]),
                    values: cells(["body": .null])
                ), "no column named nope"
            ),
            (
                RowWrite(.delete, table: "note", key: cells(["body": .text("one")])),
                "key: expected id of note, found body"
            ),
            (
                RowWrite(.delete, table: "note", key: cells(["id": .integer(1), "body": .null])),
                "key: expected id of note, found id, body"
            ),
            (RowWrite(.insert, table: "nope"), "no such table: nope"),
            (RowWrite(.insert, table: "v"), "v is a view"),
            (RowWrite(.insert, table: "f"), "f is a virtual"),
            (RowWrite(.insert, table: "f_data"), "f_data is a shadow table"),
            (RowWrite(.insert, table: "sqlite_sequence"), "a table of SQLite's own"),
            (RowWrite(.delete, table: "w", rowid: 1), "w has no rowids"),
        ] {
            let (end, _) = await harness.write(write)
            #expect(end.failure?.code == .sqlError)
            #expect(end.failure?.message.contains(expected) == true, "\(end.failure?.message ?? "none")")
        }
        #expect(harness.commits.all.isEmpty)
    }

    @Test func `constraints and triggers decide as they do for SQL`() async throws {
        let harness = try Harness(
            """
            CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT NOT NULL UNIQUE, seen DEFAULT 0);
            INSERT INTO t(v) VALUES ('a'), ('b'), ('fixed');
            CREATE TRIGGER keep BEFORE UPDATE ON t WHEN old.v = 'fixed' BEGIN SELECT RAISE(IGNORE); END;
            CREATE TRIGGER note AFTER UPDATE OF v ON t BEGIN UPDATE t SET seen = seen + 1 WHERE id = new.id; END;
            """
        )
        let (taken, _) = await harness.write(
            RowWrite(.update, table: "t", key: cells(["id": .integer(1)]), values: cells(["v": .text("b")]))
        )
        #expect(taken.failure?.code == .constraint)
        let (ignored, same) = await harness.write(
            RowWrite(.update, table: "t", key: cells(["id": .integer(3)]), values: cells(["v": .text("x")]))
        )
        #expect(ignored.outcome?.changes == 0)
        #expect(same.image?["v"] == .text("fixed"))
        let (counted, seen) = await harness.write(
            RowWrite(.update, table: "t", key: cells(["id": .integer(1)]), values: cells(["v": .text("c")]))
        )
        #expect(counted.outcome?.changes == 1)
        #expect(seen.image?["seen"] == .integer(1))
    }

    @Test func `the rights are those of SQL`() async throws {
        let harness = try Harness(
            Self.schema + "CREATE TABLE secret(id INTEGER PRIMARY KEY, v); INSERT INTO secret VALUES (1, 'x')"
        )
        let write = RowWrite(
            .update,
            table: "note",
            key: cells(["id": .integer(1)]),
            values: cells(["body": .text("x")])
        )
        let (reading, _) = await harness.write(write) { $0.policy = .readOnly }
        #expect(reading.failure?.code == .readOnly)
        let policy = SQLPolicy(level: .readWrite, readableTables: ["note"], writableTables: ["note"])
        let (allowed, _) = await harness.write(write) { $0.policy = policy }
        #expect(allowed.outcome?.changes == 1)
        var messages: [String] = []
        for table in ["secret", "nope"] {
            let (end, log) = await harness.write(
                RowWrite(.delete, table: table, key: cells(["id": .integer(1)]), before: cells(["v": .null]))
            ) { $0.policy = policy }
            #expect(end.failure?.code == .notAuthorized)
            #expect(log.image == nil)
            messages.append(end.failure?.message.replacing(table, with: "…") ?? "none")
        }
        // The answer does not reveal which tables exist.
        #expect(messages[0] == messages[1])
    }

    @Test func `within the client's transaction it is undone with it, and a conflict leaves it open`() async throws {
        let harness = try Harness(Self.schema)
        await harness.run("BEGIN")
        let write = RowWrite(
            .update,
            table: "note",
            key: cells(["id": .integer(1)]),
            before: cells(["body": .text("one")]),
            values: cells(["body": .text("first")])
        )
        let (written, _) = await harness.write(write)
        #expect(written.outcome?.inTransaction == true)
        #expect(written.outcome?.receipt == nil)
        let (conflict, log) = await harness.write(write)
        #expect(conflict.failure?.code == .conflict)
        #expect(conflict.failure?.inTransaction == true)
        #expect(log.image?["body"] == .text("first"))
        await harness.run("ROLLBACK")
        #expect(await harness.rows("SELECT body FROM note WHERE id = 1") == [[.text("one")]])
    }

    @Test func `a temporary table of the same name is another one`() async throws {
        let harness = try Harness(Self.schema)
        await harness.run("BEGIN")
        await harness.run(
            "CREATE TEMP TABLE note(id INTEGER PRIMARY KEY, body TEXT); INSERT INTO temp.note VALUES (1, 'temporary')"
        )
        let (end, _) = await harness.write(
            RowWrite(.update, table: "note", key: cells(["id": .integer(1)]), values: cells(["body": .text("main")]))
        )
        #expect(end.outcome?.changes == 1)
        await harness.run("COMMIT")
        #expect(try harness.database.query("SELECT body FROM note WHERE id = 1") == [[.text("main")]])
    }

    @Test(arguments: ["WAL", "DELETE"]) func `what it writes is captured like any other change`(mode: String)
        async throws
    {
        let harness = try Harness(Self.schema, journalMode: mode)
        await harness.write(
            RowWrite(.update, table: "note", key: cells(["id": .integer(2)]), values: cells(["body": .text("x")]))
        ) {
            $0.userId = "u1"
        }
        let commit = try #require(harness.commits.all.first)
        #expect(harness.commits.all.count == 1)
        #expect(commit.userId == "u1")
        #expect(commit.changes.events.count == 1)
    }

    @Test func `its statement reads as what it does`() {
        let write = RowWrite(
            .update,
            table: "a \"b\"",
            rowid: 3,
            key: cells(["k": .null]),
            values: cells(["v": .integer(1), "w": .null])
        )
        #expect(write.sql == #"UPDATE "a ""b""" SET "v" = ?, "w" = ? WHERE rowid = 3 AND "k" IS ?"#)
        #expect(RowWrite(.insert, table: "t").sql == #"INSERT INTO "t" DEFAULT VALUES"#)
        #expect(
            RowWrite(.insert, table: "t", rowid: 3, values: cells(["v": .null])).sql
                == #"INSERT INTO "t" ("v") VALUES (?)"#
        )
        #expect(RowWrite(.delete, table: "t", key: cells(["k": .null])).sql == #"DELETE FROM "t" WHERE "k" IS ?"#)
    }
}

extension Harness {
    /// Submits and waits for the end.
    @discardableResult
    func write(
        _ write: RowWrite,
        _ adjust: @escaping (inout SQLRequest) -> Void = { _ in }
    ) async -> (end: RecordingSink.End, log: RecordingSink.Log) {
        await run(write.sql) { request in
            request.rowWrite = write
            adjust(&request)
        }
    }
}

/// Cells by column, in order.
func cells(_ cells: KeyValuePairs<String, SQLiteValue>) -> [RowWrite.Cell] {
    cells.map { RowWrite.Cell($0.key, $0.value) }
}
