import SQLiteConnection

/// Reads single rows of a table through SQL, in the connection's own transaction.
final class RowReader {
    private var statement: Statement
    private let identity: [Int]
    private let columnCount: Int

    /// Nil when SQL cannot name the table's rowid.
    init?(_ shape: TableShape, on connection: Connection) throws(SQLiteError) {
        let table = SQLName(shape.table.name).quoted
        let condition: String
        if shape.table.hasRowid {
            guard let rowid = shape.rowidName else { return nil }
            condition = "\(rowid) = ?"
        } else {
            condition = shape.identity
                .map { SQLName(shape.table.columns[$0].name).quoted + " = ?" }
                .joined(separator: " AND ")
        }
        identity = shape.identity
        columnCount = shape.table.columns.count
        statement = try connection.prepare("SELECT * FROM main.\(table) WHERE \(condition)", persistent: true)
    }

    /// Encodes the row with that key; false when there is none.
    ///
    /// Two primary keys can be equal under their collation or as numbers and differ in their bytes: then the row is
    /// another one.
    func read(_ key: RowKey, into encoder: inout RecordEncoder) throws(SQLiteError) -> Bool {
        switch key {
        case .rowid(let rowid):
            try statement.bind(.integer(rowid), at: 1)
            return try read(into: &encoder) { _ in true }
        case .primaryKey(let key):
            for (position, value) in key.values.enumerated() { try statement.bind(value, at: position + 1) }
            let identity = identity
            return try read(into: &encoder) { statement in
                Row(identity.map { statement.value($0) }) == key
            }
        case .equalKey(let key):
            for (position, value) in key.values.enumerated() { try statement.bind(value, at: position + 1) }
            return try read(into: &encoder) { _ in true }
        }
    }

    private func read(
        into encoder: inout RecordEncoder,
        isMeant: (borrowing Statement) -> Bool
    ) throws(SQLiteError) -> Bool {
        defer { statement.reset() }
        while try statement.step() {
            guard isMeant(statement) else { continue }
            encoder.begin()
            for column in 0..<columnCount {
                statement.withColumn(column) { encoder.append($0) }
            }
            return true
        }
        return false
    }
}

/// The key that identifies one row of a table.
enum RowKey {
    case rowid(Int64)
    /// The values of the primary key's columns, in key order.
    case primaryKey(Row)
    /// The values of the primary key's columns, where a number can have the other numeric type.
    case equalKey(Row)
}

/// One row that is about to change, as the pre-update hook reports it.
///
/// The values are indexed in the hook's own order, and are valid as long as the event.
protocol RowEvent: ~Copyable {
    /// Identifies the table: the same value for all of its rows within one statement.
    var tableIdentity: UInt { get }
    var operation: UpdateOperation { get }
    var oldRowid: Int64 { get }
    var newRowid: Int64 { get }
    /// An incremental blob write, which the hook calls a delete.
    var isBlobWrite: Bool { get }
    func oldValue(_ column: Int) -> BorrowedValue
    func newValue(_ column: Int) -> BorrowedValue
}

extension PreUpdate: RowEvent {
    var isBlobWrite: Bool { blobWriteColumn != nil }
}

/// Reads what a ``TransactionLog`` does not know, in the open transaction.
protocol RowSource {
    /// Encodes the current row with that key; false when there is none. Nil when the table's rows cannot be read one by
    /// one: its columns hide all names of the rowid.
    func readRow(_ key: RowKey, of shape: TableShape, into encoder: inout RecordEncoder) throws(SQLiteError) -> Bool?

    /// All rows of a table that is new in the transaction; nil when there are none.
    func allRows(
        of table: SchemaSnapshot.Table,
        level: CaptureLevel,
        limits: CaptureLimits
    ) throws(SQLiteError) -> TableRows?

    /// Whether a virtual table has rows.
    func hasRows(_ table: SQLName) throws(SQLiteError) -> Bool

    /// The reader that converts a row from before an `ALTER TABLE` to the columns after it.
    func recordReader() throws(SQLiteError) -> RecordReader
}

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
