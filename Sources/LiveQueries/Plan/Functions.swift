import ChangeCapture
import SQLiteConnection

/// The functions that SQLite reports.
///
/// Source: [PRAGMA function_list](https://sqlite.org/pragma.html#pragma_function_list).
struct FunctionCatalog {
    private var aggregates: Set<String> = []
    private var volatile: Set<String> = []

    private static let deterministic: Int64 = 0x800

    /// Scalar functions that SQLite does not mark as deterministic although their value does not change while the
    /// program runs.
    private static let stable: Set<String> = [
        "sqlite_version", "sqlite_source_id", "sqlite_compileoption_get", "sqlite_compileoption_used",
        // Functions of full-text search and R-trees: they depend only on the table.
        "bm25", "highlight", "snippet", "match", "matchinfo", "offsets", "fts5", "fts5_source_id", "rtreenode",
        "rtreedepth", "rtreecheck",
    ]

    init(_ connection: Connection) throws(SQLiteError) {
        var statement = try connection.prepare("SELECT lower(name), type, flags FROM pragma_function_list")
        while try statement.step() {
            let name = statement.text(0) ?? ""
            if statement.text(1) == "s" {
                if statement.integer(2) & Self.deterministic == 0, !Self.stable.contains(name) { volatile.insert(name) }
            } else {
                aggregates.insert(name)
            }
        }
        // Functions of the current time; TimeDependence finds those that depend on an argument.
        volatile.subtract(["current_date", "current_time", "current_timestamp"])
    }

    func isVolatile(_ name: String) -> Bool { volatile.contains(name) }
    func isAggregate(_ name: String) -> Bool { aggregates.contains(name) }
}
