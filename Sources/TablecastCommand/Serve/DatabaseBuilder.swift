import SQLiteConnection

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Builds a database file from SQL, for `serve --init`.
struct DatabaseBuilder {
    /// A script of this size would be read into memory whole.
    static let maxScriptBytes = 256 << 20

    var path: String

    /// Builds the file from a script, all of it or nothing: the file appears once it is complete.
    func build(fromScriptAt scriptPath: String) throws {
        let draft = "\(path).building"
        try? FileManager.default.removeItem(atPath: draft)
        defer { try? FileManager.default.removeItem(atPath: draft) }
        try run(scriptAt: scriptPath, on: draft)
        do {
            // Closed, so the log is checkpointed and gone: one file is the database.
            try FileManager.default.moveItem(atPath: draft, toPath: path)
        } catch {
            throw CommandFailure(.cannotCreate, "'\(path)' cannot be made: \(error)")
        }
    }

    /// Runs a script on a database that exists and that nobody but this process knows.
    func fill(fromScriptAt scriptPath: String) throws { try run(scriptAt: scriptPath, on: path) }

    private func run(scriptAt scriptPath: String, on draft: String) throws {
        var script = Script(try SQLInput.file(scriptPath, maxBytes: Self.maxScriptBytes))
        do {
            let connection = try Connection(path: draft, mode: .readWriteCreate)
            defer { connection.close() }
            while var statement = try script.next(on: connection) {
                while try statement.step() {}
            }
            // SQLite makes the file with the first statement that needs it, and an empty script has none.
            if !FileManager.default.fileExists(atPath: draft) { try connection.execute("PRAGMA user_version = 0") }
        } catch {
            throw Self.failure(error, script, at: scriptPath, draft: draft)
        }
    }

    private static func failure(
        _ error: SQLiteError,
        _ script: Script,
        at path: String,
        draft: String
    ) -> CommandFailure {
        if error.code.primary == .cantOpen {
            return CommandFailure(.cannotCreate, "'\(draft)' cannot be made: \(error.message)")
        }
        // Not every error has a place of its own; the statement always has.
        let offset = error.offset ?? firstByte(ofStatementAt: script.offset, in: script.sql)
        let place = SQLExcerpt(sql: script.sql, offset: offset, width: 80)
        return CommandFailure(
            .failure,
            "the SQL file '\(path)' failed\(place.map { " at line \($0.lineNumber)" } ?? ""): \(error.message)",
            advice: place?.line
        )
    }

    /// What ended the statement before, up to the line break, does not belong to this one.
    private static func firstByte(ofStatementAt offset: Int, in sql: String) -> Int {
        let rest = sql.utf8.dropFirst(offset)
        return offset + (rest.firstIndex { $0 > 0x20 }.map { rest.distance(from: rest.startIndex, to: $0) } ?? 0)
    }
}
