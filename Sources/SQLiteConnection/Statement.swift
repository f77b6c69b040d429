import CSQLite

/// A compiled statement; finalized when it goes out of scope.
///
/// Not copyable, because it owns a C handle; it keeps its connection alive.
///
/// Source: [Prepared Statement Object](https://sqlite.org/c3ref/stmt.html).
package struct Statement: ~Copyable {
    let handle: OpaquePointer
    private let connection: Connection
    private let names = ColumnNames()

    /// The names of the columns as of the last compilation.
    private final class ColumnNames {
        private var names: [String] = []
        private var compilation: Int32?

        func names(of handle: OpaquePointer) -> [String] {
            let compilation = sqlite3_stmt_status(handle, SQLITE_STMTSTATUS_REPREPARE, 0)
            if compilation == self.compilation { return names }
            names = []
            for column in 0..<sqlite3_column_count(handle) {
                names.append(sqlite3_column_name(handle, column).map { String(cString: $0) } ?? "")
            }
            self.compilation = compilation
            return names
        }
    }

    init(_ handle: OpaquePointer, connection: Connection) {
        self.handle = handle
        self.connection = connection
    }

    deinit { sqlite3_finalize(handle) }

    // MARK: Running

    /// Runs to the next row: true when there is one, false when the statement is done.
    ///
    /// After an error or at the end the statement is reset, so that it holds no lock and the next call starts it again.
    package mutating func step() throws(SQLiteError) -> Bool {
        let code = sqlite3_step(handle)
        if code == SQLITE_ROW { return true }
        if code == SQLITE_DONE {
            // A RETURNING or a commit can still fail here, for instance with SQLITE_BUSY.
            let reset = sqlite3_reset(handle)
            if reset != SQLITE_OK { throw SQLiteError(code: reset, handle: connection.handle, sql: sql) }
            return false
        }
        let error = SQLiteError(code: code, handle: connection.handle, sql: sql)
        sqlite3_reset(handle)
        throw error
    }

    /// Ends the run, releases its locks and keeps the bindings.
    package func reset() { sqlite3_reset(handle) }

    /// Ends the run, and removes what it leaves: bindings and counters.
    package func prepareForReuse() {
        sqlite3_reset(handle)
        sqlite3_clear_bindings(handle)
        for counter in [StatementCounter.fullScanSteps, .sorts] { _ = status(counter, reset: true) }
    }

    // MARK: Parameters

    package var parameterCount: Int { Int(sqlite3_bind_parameter_count(handle)) }

    /// The name with its prefix (`:a`, `@a`, `$a`, `?5`); nil for a plain `?`. Indexes begin at 1.
    package func parameterName(at index: Int) -> String? {
        sqlite3_bind_parameter_name(handle, Int32(clamping: index)).map { String(cString: $0) }
    }

    /// Binds a value; SQLite copies its bytes. Indexes begin at 1; an index beyond the last parameter fails with
    /// `SQLITE_RANGE`.
    package func bind(_ value: SQLiteValue, at index: Int) throws(SQLiteError) {
        let index = Int32(clamping: index)
        let code =
            switch value {
            case .null: sqlite3_bind_null(handle, index)
            case .integer(let value): sqlite3_bind_int64(handle, index, value)
            case .real(let value): sqlite3_bind_double(handle, index, value)
            case .text(var string):
                string.withUTF8 { bytes in Self.bindText(handle, index, UnsafeRawBufferPointer(bytes)) }
            case .malformedText(let bytes):
                bytes.withUnsafeBytes { bytes in Self.bindText(handle, index, bytes) }
            case .blob(let bytes):
                bytes.withUnsafeBytes { bytes in
                    // A null pointer would bind NULL instead of an empty blob.
                    bytes.isEmpty
                        ? sqlite3_bind_zeroblob(handle, index, 0)
                        : csqlite_bind_blob_transient(handle, index, bytes.baseAddress, UInt64(bytes.count))
                }
            }
        if code != SQLITE_OK { throw SQLiteError(code: code, handle: connection.handle, sql: sql) }
    }

    private static func bindText(_ handle: OpaquePointer, _ index: Int32, _ bytes: UnsafeRawBufferPointer) -> Int32 {
        guard let base = bytes.assumingMemoryBound(to: CChar.self).baseAddress, !bytes.isEmpty else {
            return csqlite_bind_text_transient(handle, index, "", 0)
        }
        return csqlite_bind_text_transient(handle, index, base, UInt64(bytes.count))
    }

    // MARK: The current row

    package var columnCount: Int { Int(sqlite3_column_count(handle)) }

    package func columnName(_ column: Int) -> String {
        sqlite3_column_name(handle, Int32(clamping: column)).map { String(cString: $0) } ?? ""
    }

    /// The names of all columns.
    package var columnNames: [String] { names.names(of: handle) }

    /// The value of a column, counted from 0, without copying its bytes: valid only within the call.
    @inline(__always)
    package func withColumn<R, E>(_ column: Int, _ body: (BorrowedValue) throws(E) -> R) throws(E) -> R {
        try body(BorrowedValue(handle, column: Int32(truncatingIfNeeded: column)))
    }

    package func value(_ column: Int) -> SQLiteValue { withColumn(column) { $0.owned } }

    /// The column as SQLite converts it to an integer; 0 for NULL.
    package func integer(_ column: Int) -> Int64 { sqlite3_column_int64(handle, Int32(clamping: column)) }

    /// The column as SQLite converts it to a floating-point number; 0 for NULL.
    package func real(_ column: Int) -> Double { sqlite3_column_double(handle, Int32(clamping: column)) }

    /// The column as SQLite converts it to text, bytes that are not UTF-8 replaced; nil for NULL.
    package func text(_ column: Int) -> String? {
        guard let bytes = sqlite3_column_text(handle, Int32(clamping: column)) else { return nil }
        let count = Int(sqlite3_column_bytes(handle, Int32(clamping: column)))
        return String(decoding: UnsafeBufferPointer(start: bytes, count: count), as: UTF8.self)
    }

    // MARK: Properties

    /// Whether the statement cannot change the database file. True for `BEGIN` and `COMMIT`, and for a few that have
    /// side effects elsewhere, such as `ATTACH` ([sqlite3_stmt_readonly](https://sqlite.org/c3ref/stmt_readonly.html)).
    package var isReadOnly: Bool { sqlite3_stmt_readonly(handle) != 0 }

    /// Whether running the statement can change the database file: false for `EXPLAIN DELETE`.
    package var writes: Bool { !isReadOnly && explainLevel == 0 }

    /// 0 for an ordinary statement, 1 for `EXPLAIN`, 2 for `EXPLAIN QUERY PLAN`.
    package var explainLevel: Int { Int(sqlite3_stmt_isexplain(handle)) }

    /// The text it was compiled from, with the parameters unexpanded.
    package var sql: String { sqlite3_sql(handle).map { String(cString: $0) } ?? "" }

    /// Reads a counter of work done ([status parameters](https://sqlite.org/c3ref/c_stmtstatus_counter.html)).
    package func status(_ counter: StatementCounter, reset: Bool = false) -> Int {
        Int(sqlite3_stmt_status(handle, counter.rawValue, reset ? 1 : 0))
    }
}

/// A counter of ``Statement/status(_:reset:)``.
package struct StatementCounter: RawRepresentable, Sendable, Hashable {
    package let rawValue: Int32
    package init(rawValue: Int32) { self.rawValue = rawValue }

    /// Steps forward in a table as part of a full scan.
    package static let fullScanSteps = StatementCounter(rawValue: SQLITE_STMTSTATUS_FULLSCAN_STEP)
    package static let sorts = StatementCounter(rawValue: SQLITE_STMTSTATUS_SORT)
    /// How often SQLite has compiled it again by itself, because the schema had changed.
    package static let repreparations = StatementCounter(rawValue: SQLITE_STMTSTATUS_REPREPARE)
    /// The memory of the statement, in bytes.
    package static let memoryBytes = StatementCounter(rawValue: SQLITE_STMTSTATUS_MEMUSED)
}

/// Reads a statement's counters while it runs: within a progress handler `step` has exclusive access to the statement
/// itself.
///
/// Valid as long as the statement; use it only on the connection's thread.
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
