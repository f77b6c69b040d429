import Foundation
import SQLiteConnection
import Testing

@Suite struct ConnectionTests {
    @Test func `the library that runs here carries the service`() throws {
        try Library.requireUsable()
        #expect(Library.versionNumber >= Library.minimumVersionNumber)
        #expect(Library.hasPreUpdateHook)
    }

    @Test func `every storage class comes back as it was bound`() throws {
        let connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        let values: [SQLiteValue] = [
            .null, .integer(.min), .integer(.max), .integer(0), .real(-0.5), .real(.infinity),
            .real(.leastNonzeroMagnitude),
            .text(""), .text("naïve ☕️ \u{0}after NUL"), .blob([]), .blob([0, 255, 1]), .malformedText([0xff, 0x41]),
        ]
        for value in values {
            #expect(try connection.query("SELECT ?", [value]) == [[value]])
        }
    }

    @Test func `a file that is not there is an error that names the reason`() throws {
        let folder = try TemporaryFolder()
        let error = #expect(throws: SQLiteError.self) {
            try Connection(path: folder.file("none.db"), mode: .readWrite)
        }
        #expect(error?.code.primary == .cantOpen)
        #expect(error?.message == "unable to open database file")
    }

    @Test func `a file that is not a database is found out by the first statement`() throws {
        let folder = try TemporaryFolder()
        try Data(
            "This is a text file, nothing else, and longer than a header of a hundred bytes would be. Really, it is."
                .utf8
        )
        .write(to: URL(filePath: folder.file("notes.txt")))
        let connection = try Connection(path: folder.file("notes.txt"), mode: .readOnly)
        let error = #expect(throws: SQLiteError.self) { try connection.query("SELECT 1 FROM sqlite_schema") }
        #expect(error?.code.primary == .notADatabase)
    }

    @Test func `a URI carries its own mode`() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("a.db")
        try Connection(path: path, mode: .readWriteCreate).execute("CREATE TABLE t(a)")
        let connection = try Connection(path: "file:\(path)?mode=ro", mode: .readWrite, isURI: true)
        #expect(connection.isReadOnly)
        let error = #expect(throws: SQLiteError.self) { try connection.execute("INSERT INTO t VALUES(1)") }
        #expect(error?.code.primary == .readOnly)
    }

    @Test func `a file name that begins like a URI is a file name`() throws {
        // In the working directory, because a path to another one does not have this prefix.
        let name = "file:\(UUID().uuidString)?mode=memory"
        defer { try? FileManager.default.removeItem(atPath: name) }
        try Connection(path: name, mode: .readWriteCreate).execute("CREATE TABLE t(a)")
        #expect(FileManager.default.fileExists(atPath: name))
        let connection = try Connection(path: name, mode: .readWrite)
        #expect(try connection.query("SELECT count(*) FROM t") == [[.integer(0)]])
    }

    @Test func `an error carries extended code, message, SQL and offset`() throws {
        let connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        try connection.execute("CREATE TABLE t(a INTEGER PRIMARY KEY)")
        let script = "INSERT INTO t VALUES(1);\nSELECT missing FROM t"
        let syntax = #expect(throws: SQLiteError.self) { try connection.execute(script) }
        #expect(syntax?.message == "no such column: missing")
        #expect(syntax?.sql == script)
        #expect(syntax?.offset == 32)
        let duplicate = #expect(throws: SQLiteError.self) { try connection.execute("INSERT INTO t VALUES(1)") }
        #expect(duplicate?.code.primary == .constraint)
        #expect(duplicate?.code.rawValue == 1555)
        #expect(duplicate?.message == "UNIQUE constraint failed: t.a")
    }

    @Test func `an interrupt from another thread ends the running statement and a later one runs`() async throws {
        let connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        let handle = connection.interruptHandle
        var started = false
        connection.setProgressHandler(everySteps: 1_000) {
            if !started {
                started = true
                Thread.detachNewThread { handle.interrupt() }
            }
            return .proceed
        }
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
        let error = #expect(throws: SQLiteError.self) { try connection.query(endless) }
        #expect(error?.code.primary == .interrupt)
        #expect(try connection.query("SELECT 1") == [[.integer(1)]])
    }

    @Test func `an interrupt after close does nothing`() throws {
        let connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        let handle = connection.interruptHandle
        connection.close()
        handle.interrupt()
    }

    @Test func `a progress handler can interrupt`() throws {
        let connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        connection.setProgressHandler(everySteps: 100) { .interrupt }
        let error = #expect(throws: SQLiteError.self) {
            try connection.query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")
        }
        #expect(error?.code.primary == .interrupt)
    }

    @Test func `a busy handler decides how long to wait for another connection`() throws {
        let folder = try TemporaryFolder()
        let first = try Connection(path: folder.file("a.db"), mode: .readWriteCreate)
        try first.execute("CREATE TABLE t(a); BEGIN IMMEDIATE")
        let second = try Connection(path: folder.file("a.db"), mode: .readWrite)
        var attempts: [Int] = []
        second.setBusyHandler { attempt in
            attempts.append(attempt)
            return attempt < 2
        }
        let error = #expect(throws: SQLiteError.self) { try second.execute("INSERT INTO t VALUES(1)") }
        #expect(error?.code.primary == .busy)
        #expect(attempts == [0, 1, 2])
    }

    @Test func `a limit is enforced and named`() throws {
        let connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        connection.setLimit(.valueBytes, 1_000)
        #expect(connection.limit(.valueBytes) == 1_000)
        let error = #expect(throws: SQLiteError.self) { try connection.query("SELECT zeroblob(2000)") }
        #expect(error?.code.primary == .tooBig)
    }
}
