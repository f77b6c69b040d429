import SQLiteConnection
import Testing

@Suite struct HooksTests {
    let connection: Connection

    init() throws {
        connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        try connection.execute(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v); CREATE TABLE w(k TEXT PRIMARY KEY, v) WITHOUT ROWID"
        )
    }

    @Test func `the pre-update hook sees every row with its values before and after`() throws {
        var seen: [String] = []
        connection.setPreUpdateHook { change in
            let table = change.withTableName { String(decoding: $0, as: UTF8.self) }
            let old = change.operation == .insert ? nil : change.oldValue(1).owned
            let new = change.operation == .delete ? nil : change.newValue(1).owned
            seen.append("\(change.operation) \(table) \(old.map { "\($0)" } ?? "-") \(new.map { "\($0)" } ?? "-")")
        }
        try connection.execute(
            """
            INSERT INTO t VALUES(1, 'a');
            UPDATE t SET v = 2;
            REPLACE INTO t VALUES(1, 3.5);
            DELETE FROM t;
            INSERT INTO w VALUES('k', x'00');
            """
        )
        #expect(
            seen == [
                #"insert t - text("a")"#,
                #"update t text("a") integer(2)"#,
                "delete t integer(2) -",
                "insert t - real(3.5)",
                "delete t real(3.5) -",
                "insert w - blob([0])",
            ]
        )
    }

    @Test func `commit and rollback hooks fire for what they are named after`() throws {
        var seen: [String] = []
        connection.setCommitHook {
            seen.append("commit")
            return .commit
        }
        connection.setRollbackHook { seen.append("rollback") }
        try connection.execute("INSERT INTO t VALUES(1, 1); BEGIN; INSERT INTO t VALUES(2, 2); ROLLBACK")
        #expect(seen == ["commit", "rollback"])
    }

    @Test func `a commit hook can refuse`() throws {
        connection.setCommitHook { .rollback }
        let error = #expect(throws: SQLiteError.self) { try connection.execute("INSERT INTO t VALUES(1, 1)") }
        #expect(error?.code == .constraintCommitHook)
        connection.setCommitHook(nil)
        #expect(try connection.query("SELECT * FROM t") == [])
    }

    @Test func `the WAL hook reports the frames of the log`() throws {
        let folder = try TemporaryFolder()
        let file = try Connection(path: folder.file("wal.db"), mode: .readWriteCreate)
        try file.execute("PRAGMA journal_mode = WAL")
        var frames: [Int] = []
        file.setWALHook { database, count in
            #expect(database == "main")
            frames.append(count)
        }
        try file.execute("CREATE TABLE t(a); INSERT INTO t VALUES(1)")
        #expect(frames == [2, 3])
    }

    @Test func `an authorizer allows, denies and ignores by action and name`() throws {
        try connection.execute("INSERT INTO t VALUES(1, 'secret')")
        connection.setAuthorizer { request in
            switch request.action {
            case .read where request.first == "t" && request.second == "v": .ignore
            case .attach: .deny
            default: .allow
            }
        }
        #expect(try connection.query("SELECT id, v FROM t") == [[.integer(1), .null]])
        let error = #expect(throws: SQLiteError.self) { try connection.execute("ATTACH ':memory:' AS other") }
        #expect(error?.code.primary == .auth)
    }

    @Test func `hooks can be replaced and removed`() throws {
        var first = 0
        var second = 0
        connection.setUpdateHook { _, _, _, _ in first += 1 }
        try connection.execute("INSERT INTO t VALUES(1, 1)")
        connection.setUpdateHook { _, _, _, _ in second += 1 }
        try connection.execute("INSERT INTO t VALUES(2, 1)")
        connection.setUpdateHook(nil)
        try connection.execute("INSERT INTO t VALUES(3, 1)")
        #expect(first == 1)
        #expect(second == 1)
    }
}
