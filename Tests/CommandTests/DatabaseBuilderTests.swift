import Foundation
import SQLiteConnection
import Testing

@testable import TablecastCommand

struct DatabaseBuilderTests {
    private let directory = TemporaryDirectory()

    @Test func `a script builds the file, or leaves nothing behind`() throws {
        try directory.write("CREATE TABLE t (x); INSERT INTO t VALUES ('é');", to: "good.sql")
        try directory.write("CREATE TABLE t (x);\nINSERT INTO u VALUES (1);", to: "bad.sql")
        let path = directory.path("a.db")
        let failure = #expect(throws: CommandFailure.self) {
            try DatabaseBuilder(path: path).build(fromScriptAt: directory.path("bad.sql"))
        }
        #expect(failure?.message.contains("at line 2: no such table: u") == true)
        #expect(directory.names == ["bad.sql", "good.sql"])
        try DatabaseBuilder(path: path).build(fromScriptAt: directory.path("good.sql"))
        #expect(try Connection(path: path, mode: .readOnly).query("SELECT x FROM t") == [[.text("é")]])
        #expect(directory.names == ["a.db", "bad.sql", "good.sql"])
    }

    @Test(arguments: ["music", "nasty"])
    func `the fixtures build`(name: String) throws {
        let fixtures = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Fixtures")
        let path = directory.path("\(name).db")
        try DatabaseBuilder(path: path).build(fromScriptAt: fixtures.appending(path: "\(name).sql").path)
        let connection = try Connection(path: path, mode: .readOnly)
        #expect(try connection.query("PRAGMA integrity_check") == [[.text("ok")]])
        #expect(try connection.query("SELECT count(*) > 10 FROM sqlite_schema") == [[.integer(1)]])
    }
}

/// A directory for one test, removed with the object.
private final class TemporaryDirectory: Sendable {
    private let url = URL.temporaryDirectory.appending(path: "tablecast-\(UUID().uuidString)")

    init() { try? FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) }

    deinit { try? FileManager.default.removeItem(at: url) }

    func path(_ name: String) -> String { url.appending(path: name).path }

    func write(_ text: String, to name: String) throws { try Data(text.utf8).write(to: url.appending(path: name)) }

    var names: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: url.path)) ?? []).sorted()
    }
}
