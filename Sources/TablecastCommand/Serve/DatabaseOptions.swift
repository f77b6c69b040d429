import ArgumentParser
import Tablecast

/// How `serve` treats its file.
struct DatabaseOptions: ParsableArguments {
    @Option(
        name: .customLong("init"),
        help: ArgumentHelp(
            "Build the file from this SQL if it does not exist yet; fill the database in memory.",
            valueName: "sql-file"
        ),
        completion: .file(extensions: ["sql"])
    )
    var initialScript: String?

    @Flag(help: "Switch the file to a write-ahead log first, which is the best way to watch it.")
    var wal = false

    @Flag(help: "Refuse every query that would write.")
    var readOnly = false

    @Flag(help: "Enforce foreign keys in every query; SQLite itself leaves them to each connection.")
    var foreignKeys = false

    /// Fills the database in memory, or builds the file, if that is asked for; returns whether it did.
    func prepare(_ memory: InMemoryDatabase?, orFileAt path: String) throws -> Bool {
        guard let memory else { return try prepare(path) }
        guard let initialScript else { return false }
        try DatabaseBuilder(path: memory.path).fill(fromScriptAt: initialScript)
        return true
    }

    /// Builds the file if that is asked for, and looks at it; returns whether it was built.
    private func prepare(_ path: String) throws -> Bool {
        guard try DatabasePath(path).inspect(writable: !readOnly) == .missing else { return false }
        guard let initialScript else {
            throw CommandFailure(
                .noInput,
                "there is no file '\(path)'",
                advice: "Check the path, or build one: --init schema.sql."
            )
        }
        try DatabaseBuilder(path: path).build(fromScriptAt: initialScript)
        return true
    }
}
