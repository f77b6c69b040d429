import SQLiteConnection
import Testing

@Suite struct ScriptTests {
    let connection: Connection

    init() throws {
        connection = try Connection(path: ":memory:", mode: .readWriteCreate)
    }

    @Test func `statements are compiled one by one, each after the one before ran`() throws {
        try connection.execute("CREATE TABLE t(a); INSERT INTO t VALUES(1), (2); ; -- the end\n")
        #expect(try connection.query("SELECT count(*) FROM t") == [[.integer(2)]])
    }

    @Test(arguments: ["", "  ", ";", ";;\n;", "-- nothing", "/* nothing */ ;"])
    func `a script without a statement runs and yields none`(sql: String) throws {
        var script = Script(sql)
        let isEmpty = try script.next(on: connection) == nil
        #expect(isEmpty)
    }

    @Test func `offsets count the bytes of the whole string`() throws {
        var script = Script("SELECT '☕️'; SELECT 2")
        var offsets: [Int] = []
        while let statement = try script.next(on: connection) {
            offsets.append(script.offset)
            _ = statement.columnCount
        }
        #expect(offsets == [0, "SELECT '☕️';".utf8.count])
    }

    @Test func `a NUL character is an error, not the silent end`() throws {
        let error = #expect(throws: SQLiteError.self) { try connection.execute("SELECT 1\u{0}; SELECT 2") }
        #expect(error?.message.contains("NUL") == true)
        #expect(error?.offset == 8)
    }

    @Test func `prepare accepts one statement and reports more as an error`() throws {
        let two = #expect(throws: SQLiteError.self) { _ = try connection.prepare("SELECT 1; SELECT 2").sql }
        #expect(two?.message == "expected one statement, and another one follows")
        let none = #expect(throws: SQLiteError.self) { _ = try connection.prepare(" ").sql }
        #expect(none?.message == "there is no statement in the SQL")
    }
}
