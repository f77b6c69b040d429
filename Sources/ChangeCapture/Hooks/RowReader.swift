import SQLiteConnection

/// Reads single rows of a table through SQL, as they are in the connection's own transaction.
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

    /// Encodes the row of that key; false when there is none.
    ///
    /// Two primary keys can be equal for their collation or as numbers and not byte for byte: then the row is another one.
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

/// By what one row of a table is found.
enum RowKey {
    case rowid(Int64)
    /// The values of the primary key's columns, in key order.
    case primaryKey(Row)
    /// The same, but a number can be of the other type.
    case equalKey(Row)
}
