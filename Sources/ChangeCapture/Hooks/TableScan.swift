import SQLiteConnection

/// Reads all rows of a table as inserted, as far as the limits allow.
struct TableScan {
    private let shape: TableShape
    private let level: CaptureLevel
    private let limits: CaptureLimits

    init(_ shape: TableShape, level: CaptureLevel, limits: CaptureLimits) {
        self.shape = shape
        self.level = level
        self.limits = limits
    }

    /// Nil when there are none.
    func rows(from connection: Connection) throws(SQLiteError) -> TableRows? {
        let name = SQLName(shape.table.name).quoted
        let answer = try connection.query("SELECT count(*) FROM main.\(name)").first?.first
        guard case .integer(let count)? = answer, count > 0 else { return nil }
        var result = TableRows(
            table: shape.table,
            inserted: Int(count),
            updated: 0,
            deleted: 0,
            detail: .counts,
            rows: [],
            rowsOmitted: level > .counts
        )
        guard level > .counts, count <= limits.maxRows else { return result }
        guard let rows = try read(from: connection, name) else { return result }
        result.detail = level
        result.rows = rows
        result.rowsOmitted = false
        return result
    }

    /// Nil when the values are too large.
    private func read(from connection: Connection, _ name: String) throws(SQLiteError) -> [RowChange]? {
        let keys = shape.table.hasRowid ? shape.namedKey : shape.identity
        let columns = level == .values ? Array(0..<shape.columnCount) : keys
        let rowid = shape.table.hasRowid ? shape.rowidName : nil
        guard rowid != nil || !shape.table.hasRowid else { return nil }
        var statement = try connection.prepare("SELECT *, \(rowid ?? "NULL") FROM main.\(name)")
        var encoder = RecordEncoder()
        var arena = ByteArena()
        var found: [(rowid: Int64, offset: Int)] = []
        while try statement.step() {
            encoder.begin()
            for column in columns {
                statement.withColumn(column) { encoder.append($0) }
            }
            found.append((statement.integer(shape.columnCount), encoder.finish { arena.append($0, $1) }))
            if arena.count > limits.maxValueBytes { return nil }
        }
        return found.map { row in
            RowChange(
                operation: .insert,
                rowid: shape.table.hasRowid ? row.rowid : nil,
                before: nil,
                after: columns.isEmpty
                    ? nil : Row(sharing: arena.bytes, bytes: arena.range(at: row.offset), count: columns.count)
            )
        }
    }
}
