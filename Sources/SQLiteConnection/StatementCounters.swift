import CSQLite

/// Reads a statement's counters while it runs, within a progress handler, when the statement itself is borrowed by `step`.
///
/// Valid as long as the statement is; on the connection's thread alone.
package struct StatementCounters {
    private let handle: OpaquePointer

    init(_ handle: OpaquePointer) { self.handle = handle }

    package func callAsFunction(_ counter: StatementCounter) -> Int {
        Int(sqlite3_stmt_status(handle, counter.rawValue, 0))
    }

    /// The statement's text.
    package var sql: String { sqlite3_sql(handle).map { String(cString: $0) } ?? "" }
}

extension Statement {
    package var counters: StatementCounters { StatementCounters(handle) }
}
