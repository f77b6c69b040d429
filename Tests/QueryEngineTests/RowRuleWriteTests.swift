import QueryEngine
import SQLiteConnection
import Testing

/// Row writes of a client with row rules.
struct RowRuleWriteTests {
    private static let schema = """
        CREATE TABLE note(id INTEGER PRIMARY KEY, owner TEXT, title TEXT UNIQUE, size INTEGER DEFAULT 1);
        CREATE TABLE pair(a, b, owner, v, PRIMARY KEY(a, b)) WITHOUT ROWID;
        CREATE TABLE public(id INTEGER PRIMARY KEY, v);
        INSERT INTO note VALUES (1, 'ada', 'a1', 10), (2, 'bob', 'b1', 20), (3, 'ada', 'a2', 3), (4, NULL, 'n1', 5);
        INSERT INTO pair VALUES ('x', 1, 'ada', 1), ('x', 2, 'bob', 2);
        INSERT INTO public VALUES (1, 'p');
        """
    private static let own = "owner = \(SQLRowRules.claim("sub"))"
    private static let state =
        "SELECT id, owner, title, size FROM note UNION ALL SELECT * FROM pair ORDER BY 1, 2, 3, 4"

    private static func policy(
        note: String = own,
        check: String? = nil,
        tables: TableNames = ["note", "pair", "public", "log", "child", "copy"]
    ) -> SQLPolicy {
        var policy = SQLPolicy(level: .readWrite, readableTables: tables, writableTables: tables)
        policy.rowRules = SQLRowRules(
            rules: [
                .init(table: "note", condition: note, check: check), .init(table: "pair", condition: own),
                .init(table: "child", condition: own),
            ],
            claims: ["sub": .text("ada")]
        )
        return policy
    }

    /// The failure of a write that must change nothing.
    private func refusal(
        of write: RowWrite,
        _ harness: Harness,
        _ policy: SQLPolicy = policy()
    ) async throws -> QueryFailure {
        let before = try harness.database.query(Self.state)
        let (end, log) = await harness.write(write) { $0.policy = policy }
        #expect(try harness.database.query(Self.state) == before)
        #expect(log.image == nil)
        return try #require(end.failure)
    }

    @Test(arguments: ["WAL", "DELETE"]) func `rows that the rule permits are written`(mode: String) async throws {
        let harness = try Harness(Self.schema, journalMode: mode)
        let policy = Self.policy()
        for (write, size) in [
            (RowWrite(.insert, table: "NOTE", values: cells(["owner": .text("ada"), "title": .text("new")])), 1),
            (
                RowWrite(
                    .update,
                    table: "note",
                    key: cells(["id": .integer(1)]),
                    values: cells(["size": .integer(11)])
                ), 11
            ),
            (
                RowWrite(
                    .update,
                    table: "note",
                    key: cells(["id": .integer(3)]),
                    before: cells(["title": .text("a2")]),
                    values: cells(["id": .integer(30)])
                ), 3
            ),
        ] as [(RowWrite, Int64)] {
            let (end, log) = await harness.write(write) { $0.policy = policy }
            #expect(end.outcome?.changes == 1, "\(end)")
            #expect(log.image?["size"] == .integer(size))
        }
        for write in [
            RowWrite(.delete, table: "note", rowid: 30),
            RowWrite(
                .update,
                table: "pair",
                key: cells(["a": .text("x"), "b": .integer(1)]),
                values: cells(["b": .integer(9)])
            ),
            RowWrite(.update, table: "public", key: cells(["id": .integer(1)]), values: cells(["v": .text("q")])),
        ] {
            let (end, _) = await harness.write(write) { $0.policy = policy }
            #expect(end.outcome?.changes == 1, "\(end)")
        }
        #expect(
            try harness.database.query("SELECT id, owner FROM note")
                == [
                    [.integer(1), .text("ada")], [.integer(2), .text("bob")], [.integer(4), .null],
                    [.integer(5), .text("ada")],
                ]
        )
        #expect(try harness.database.query("SELECT b FROM pair WHERE owner = 'ada'") == [[.integer(9)]])
        #expect(harness.commits.all.count == 6)
    }

    @Test func `a hidden row does not exist`() async throws {
        let harness = try Harness(Self.schema)
        for key in [2, 4, 99] as [Int64] {
            for write in [
                RowWrite(
                    .update,
                    table: "note",
                    key: cells(["id": .integer(key)]),
                    values: cells(["size": .integer(0)])
                ),
                RowWrite(.update, table: "note", rowid: key, values: cells(["owner": .text("ada")])),
                RowWrite(.delete, table: "note", key: cells(["id": .integer(key)])),
                RowWrite(
                    .delete,
                    table: "note",
                    key: cells(["id": .integer(key)]),
                    before: cells(["size": .integer(20)])
                ),
            ] {
                let failure = try await refusal(of: write, harness)
                #expect(failure.code == .conflict)
                #expect(failure.message == "there is no such row in note any more")
            }
        }
        let pair = RowWrite(.delete, table: "pair", key: cells(["a": .text("x"), "b": .integer(2)]))
        #expect(try await refusal(of: pair, harness).message == "there is no such row in pair any more")
    }

    @Test func `a row cannot be given to another owner unless the check permits it`() async throws {
        let harness = try Harness(Self.schema)
        for write in [
            RowWrite(.update, table: "note", key: cells(["id": .integer(1)]), values: cells(["owner": .text("bob")])),
            RowWrite(.update, table: "note", key: cells(["id": .integer(1)]), values: cells(["owner": .null])),
            RowWrite(.insert, table: "note", values: cells(["owner": .text("bob")])),
            RowWrite(.insert, table: "note"),
        ] {
            let failure = try await refusal(of: write, harness)
            #expect(failure.code == .notAuthorized && failure.message.contains("does not permit the row"))
        }
        // The check decides alone, and the client gets no image of a row that it may not see.
        let giving = Self.policy(check: "owner IS NOT NULL")
        let write = RowWrite(
            .update,
            table: "note",
            key: cells(["id": .integer(1)]),
            values: cells(["owner": .text("bob")])
        )
        let (given, log) = await harness.write(write) { $0.policy = giving }
        #expect(given.outcome?.changes == 1)
        #expect(log.image == nil)
        #expect(try await refusal(of: write, harness, giving).code == .conflict)
        let small = Self.policy(check: Self.own + " AND size < 5 -- small")
        let large = RowWrite(
            .update,
            table: "note",
            key: cells(["id": .integer(3)]),
            values: cells(["size": .integer(6)])
        )
        #expect(try await refusal(of: large, harness, small).code == .notAuthorized)
    }

    @Test func `a conflict shows the row only if the client may see it`() async throws {
        let harness = try Harness(Self.schema)
        let (end, log) = await harness.write(
            RowWrite(
                .update,
                table: "note",
                key: cells(["id": .integer(1)]),
                before: cells(["size": .integer(9)]),
                values: cells(["size": .integer(0)])
            )
        ) { $0.policy = Self.policy() }
        #expect(end.failure?.code == .conflict)
        #expect(log.image?["size"] == .integer(10))
    }

    @Test func `a constraint on hidden rows says no more than that it failed`() async throws {
        let harness = try Harness(Self.schema)
        for (values, name) in [
            (cells(["id": .integer(2), "owner": .text("ada")]), "note.id"),
            (cells(["title": .text("b1"), "owner": .text("ada")]), "note.title"),
        ] {
            let failure = try await refusal(of: RowWrite(.insert, table: "note", values: values), harness)
            #expect(failure.code == .constraint && failure.message.contains("UNIQUE constraint failed: \(name)"))
        }
        let rowid = RowWrite(.insert, table: "note", rowid: 2, values: cells(["owner": .text("ada")]))
        #expect(try await refusal(of: rowid, harness).code == .constraint)
    }

    @Test func `constraints that replace or ignore rows do neither`() async throws {
        let harness = try Harness(
            """
            CREATE TABLE note(id INTEGER PRIMARY KEY ON CONFLICT REPLACE, owner, title UNIQUE ON CONFLICT IGNORE, size);
            CREATE TABLE pair(a, b, owner, v, PRIMARY KEY(a, b) ON CONFLICT REPLACE) WITHOUT ROWID;
            INSERT INTO note VALUES (1, 'ada', 'a', 1), (2, 'bob', 'b', 2); INSERT INTO pair VALUES ('x', 2, 'bob', 2);
            """
        )
        for write in [
            RowWrite(.insert, table: "note", values: cells(["id": .integer(2), "owner": .text("ada")])),
            RowWrite(.insert, table: "note", values: cells(["title": .text("b"), "owner": .text("ada")])),
            RowWrite(.update, table: "note", key: cells(["id": .integer(1)]), values: cells(["id": .integer(2)])),
            RowWrite(
                .insert,
                table: "pair",
                values: cells(["a": .text("x"), "b": .integer(2), "owner": .text("ada")])
            ),
        ] { #expect(try await refusal(of: write, harness).code == .constraint) }
    }

    @Test func `triggers and foreign keys change no other row of a table with a rule`() async throws {
        let before = """
            CREATE TABLE child(id INTEGER PRIMARY KEY, note REFERENCES note ON DELETE CASCADE, owner);
            CREATE TABLE copy(id INTEGER PRIMARY KEY, v);
            """
        for (trigger, write) in [
            ("AFTER UPDATE ON note BEGIN UPDATE note SET size = 0 WHERE owner = 'bob'; END", "update"),
            ("AFTER UPDATE ON note BEGIN DELETE FROM note WHERE id = 2; END", "update"),
            ("AFTER UPDATE ON note BEGIN DELETE FROM note WHERE id = 3; END", "update"),
            ("BEFORE INSERT ON note BEGIN DELETE FROM note WHERE title || 'x' = new.title; END", "insert"),
            ("AFTER INSERT ON note BEGIN INSERT OR REPLACE INTO note VALUES (2, 'ada', 'r', 1); END", "insert"),
            ("AFTER DELETE ON note BEGIN INSERT OR REPLACE INTO note VALUES (2, 'ada', 'r', 1); END", "delete"),
            ("AFTER DELETE ON note BEGIN UPDATE pair SET v = 9 WHERE b = 1; END", "delete"),
            ("AFTER INSERT ON copy BEGIN UPDATE note SET size = 0 WHERE id = 2; END", "copy"),
            ("AFTER INSERT ON note BEGIN INSERT INTO note VALUES (9, 'bob', 'x', 1); END", "insert"),
            ("AFTER UPDATE ON note BEGIN UPDATE note SET owner = 'bob' WHERE id = new.id; END", "update"),
            // Foreign keys.
            ("AFTER INSERT ON public BEGIN SELECT 1; END", "delete"),
        ] {
            let harness = try Harness(
                Self.schema + before + "INSERT INTO child VALUES (1, 1, 'ada'); CREATE TRIGGER t \(trigger);"
            ) {
                $0.enforcesForeignKeys = true
            }
            let request =
                switch write {
                case "update":
                    RowWrite(
                        .update,
                        table: "note",
                        key: cells(["id": .integer(1)]),
                        values: cells(["size": .integer(7)])
                    )
                case "delete": RowWrite(.delete, table: "note", key: cells(["id": .integer(1)]))
                case "copy": RowWrite(.insert, table: "copy", values: cells(["v": .integer(7)]))
                default:
                    RowWrite(.insert, table: "note", values: cells(["owner": .text("ada"), "title": .text("b1x")]))
                }
            let failure = try await refusal(of: request, harness, Self.policy())
            #expect([.notAuthorized, .constraint].contains(failure.code), "\(trigger): \(failure)")
            #expect(
                try harness.database.query("SELECT count(*) FROM child UNION ALL SELECT count(*) FROM copy") == [
                    [.integer(1)], [.integer(0)],
                ]
            )
        }
    }

    @Test func `triggers change the written row, and tables without a rule`() async throws {
        let harness = try Harness(
            Self.schema + """
                CREATE TABLE log(id INTEGER PRIMARY KEY, v);
                CREATE TRIGGER touched AFTER UPDATE OF title ON note BEGIN
                    UPDATE note SET size = size + 1 WHERE id = new.id; INSERT INTO log(v) VALUES (old.title); END;
                CREATE TRIGGER made AFTER INSERT ON note BEGIN UPDATE note SET owner = 'ada', id = 70 WHERE id = new.id; END;
                CREATE TRIGGER copied AFTER INSERT ON public BEGIN INSERT INTO note(owner, title) VALUES (new.v, 'of public'); END;
                """
        )
        let (updated, log) = await harness.write(
            RowWrite(.update, table: "note", key: cells(["id": .integer(1)]), values: cells(["title": .text("t")]))
        ) { $0.policy = Self.policy() }
        #expect(updated.outcome?.changes == 1)
        #expect(log.image?["size"] == .integer(11))
        #expect(try harness.database.query("SELECT v FROM log") == [[.text("a1")]])
        // What counts is the row as it is in the end.
        let (made, _) = await harness.write(RowWrite(.insert, table: "note", values: cells(["title": .text("m")]))) {
            $0.policy = Self.policy()
        }
        #expect(made.outcome?.changes == 1, "\(made)")
        #expect(try harness.database.query("SELECT owner FROM note WHERE id = 70") == [[.text("ada")]])
        for (owner, isPermitted) in [("bob", false), ("ada", true)] {
            let harness = try Harness(
                Self.schema
                    + "CREATE TRIGGER copied AFTER INSERT ON public BEGIN INSERT INTO note(owner) VALUES (new.v); END;"
            )
            let (end, _) = await harness.write(RowWrite(.insert, table: "public", values: cells(["v": .text(owner)]))) {
                $0.policy = Self.policy()
            }
            #expect((end.outcome?.changes == 1) == isPermitted, "\(end)")
        }
    }

    @Test func `a rule that does not fit its table, or fails on a row, permits nothing`() async throws {
        let harness = try Harness(Self.schema)
        let write = RowWrite(
            .update,
            table: "note",
            key: cells(["id": .integer(1)]),
            values: cells(["size": .integer(7)])
        )
        for (note, check) in [("nope = 1", "1"), ("1", "nope = 1"), ("1", "(SELECT 1 FROM secret)")] {
            let failure = try await refusal(of: write, harness, Self.policy(note: note, check: check))
            #expect(failure.code == .notAuthorized && failure.message.contains("does not fit"))
        }
        let failing = Self.policy(note: "abs(-9223372036854775807 - (size > 3)) > 0")
        #expect(try await refusal(of: write, harness, failing).message == "there is no such row in note any more")
        let later = Self.policy(note: "abs(-9223372036854775807 - (size < 8)) > 0")
        #expect(try await refusal(of: write, harness, later).message.contains("does not permit the row"))
    }

    @Test func `claims are known to the rules alone`() async throws {
        let harness = try Harness(
            Self.schema
                + "CREATE TRIGGER t AFTER UPDATE ON public BEGIN UPDATE public SET v = tablecast_claim('sub'); END;"
        )
        let write = RowWrite(
            .update,
            table: "public",
            key: cells(["id": .integer(1)]),
            values: cells(["v": .text("q")])
        )
        #expect(try await refusal(of: write, harness).code == .notAuthorized)
        let own = RowWrite(
            .update,
            table: "note",
            key: cells(["id": .integer(1)]),
            values: cells(["size": .integer(7)])
        )
        #expect(await harness.write(own) { $0.policy = Self.policy() }.end.outcome?.changes == 1)
        let (end, _) = await harness.run("UPDATE note SET title = tablecast_claim('sub')") { $0.policy = .readWrite }
        #expect(end.failure != nil)
    }
}
