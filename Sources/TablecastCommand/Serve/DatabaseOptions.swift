import ArgumentParser
import SQLiteConnection
import Tablecast

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The options of `serve` for its database.
struct DatabaseOptions: ParsableArguments {
    @Option(
        name: .customLong("init"),
        help: ArgumentHelp(
            "Create the file from this SQL if it does not exist; for :memory:, the initial content.",
            valueName: "sql-file"
        ),
        completion: .file(extensions: ["sql"])
    )
    var initialScript: String?

    @Flag(help: "Switch the file to WAL mode (recommended); the mode is stored in the file.")
    var wal = false

    @Flag(help: "Reject every query that writes.")
    var readOnly = false

    @Flag(help: "Enforce foreign keys in every query; SQLite's default is off.")
    var foreignKeys = false

    @Option(
        help: ArgumentHelp(
            """
            The directory in which positions and the latest changes are kept, so that clients resume after a restart; none for \
            no state. Default: the file's name with -tablecast, beside it.
            """,
            valueName: "dir|none"
        ),
        completion: .directory
    )
    var state: String?

    func validate() throws {
        if state?.isEmpty == true { throw ValidationError("--state is empty: expected a directory, or none.") }
    }

    var stateStorage: StateStorage {
        switch state {
        case nil: .besideDatabase
        case "none": StateStorage.none
        case let directory?: .directory(directory)
        }
    }

    /// Fills the in-memory database, or builds the file, if requested; returns whether it did.
    func prepare(_ memory: InMemoryDatabase?, orFileAt path: String) throws -> Bool {
        guard let memory else { return try prepare(path) }
        guard let initialScript else { return false }
        try DatabaseBuilder(path: memory.path).fill(fromScriptAt: initialScript)
        return true
    }

    /// Builds the file if requested, and checks it; returns whether it was built.
    private func prepare(_ path: String) throws -> Bool {
        guard try DatabasePath(path).inspect(writable: !readOnly) == .missing else { return false }
        guard let initialScript else {
            throw CommandFailure(
                .noInput,
                "no such file: '\(path)'",
                advice: "Check the path, or create the file with --init schema.sql."
            )
        }
        try DatabaseBuilder(path: path).build(fromScriptAt: initialScript)
        return true
    }
}

/// Builds a database file from SQL, for `serve --init`.
struct DatabaseBuilder {
    /// A script is read into memory as a whole, so its size is limited.
    static let maxScriptBytes = 256 << 20

    var path: String

    /// Builds the file from a script, completely or not at all: the file appears once it is complete.
    func build(fromScriptAt scriptPath: String) throws {
        let draft = "\(path).building"
        try? FileManager.default.removeItem(atPath: draft)
        defer { try? FileManager.default.removeItem(atPath: draft) }
        try run(scriptAt: scriptPath, on: draft)
        do {
            // After closing, the log is checkpointed and removed: the database is one file.
            try FileManager.default.moveItem(atPath: draft, toPath: path)
        } catch {
            throw CommandFailure(.cannotCreate, "'\(path)' cannot be created: \(error)")
        }
    }

    /// Runs a script on an existing database that only this process knows.
    func fill(fromScriptAt scriptPath: String) throws { try run(scriptAt: scriptPath, on: path) }

    private func run(scriptAt scriptPath: String, on draft: String) throws {
        var script = Script(try SQLInput.file(scriptPath, maxBytes: Self.maxScriptBytes))
        do {
            let connection = try Connection(path: draft, mode: .readWriteCreate)
            defer { connection.close() }
            while var statement = try script.next(on: connection) {
                while try statement.step() {}
            }
            guard connection.isInAutocommit else {
                throw CommandFailure(
                    .failure,
                    "the SQL file '\(scriptPath)' leaves a transaction open",
                    advice: "Add COMMIT at its end."
                )
            }
            // SQLite creates the file with the first statement that needs it, and an empty script has none.
            if !FileManager.default.fileExists(atPath: draft) { try connection.execute("PRAGMA user_version = 0") }
        } catch let error as SQLiteError {
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
            return CommandFailure(.cannotCreate, "'\(draft)' cannot be created: \(error.message)")
        }
        // Not every error has a position; the statement always has one.
        let offset = error.offset ?? firstByte(ofStatementAt: script.offset, in: script.sql)
        let place = SQLExcerpt(sql: script.sql, offset: offset, width: 80)
        return CommandFailure(
            .failure,
            "the SQL file '\(path)' failed\(place.map { " at line \($0.lineNumber)" } ?? ""): \(error.message)",
            advice: place?.line
        )
    }

    /// Skips the end of the previous statement, up to the line break.
    private static func firstByte(ofStatementAt offset: Int, in sql: String) -> Int {
        let rest = sql.utf8.dropFirst(offset)
        return offset + (rest.firstIndex { $0 > 0x20 }.map { rest.distance(from: rest.startIndex, to: $0) } ?? 0)
    }
}
