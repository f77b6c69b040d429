package import SQLiteConnection

/// One row to insert, update or delete, identified by its key, as a form or a grid writes it.
///
/// It runs in one transaction, or within the client's open one. The row is read by its key and compared with the values
/// that the client saw; a difference fails the query with ``QueryFailure/Code/conflict`` and nothing is written.
package struct RowWrite: Sendable, Hashable {
    package enum Operation: String, Sendable, Hashable {
        case insert
        case update
        case delete
    }

    /// A column by name with its value.
    package struct Cell: Sendable, Hashable {
        package var column: String
        package var value: SQLiteValue

        package init(_ column: String, _ value: SQLiteValue) {
            self.column = column
            self.value = value
        }
    }

    package var operation: Operation
    /// A table of the main database; case is ignored as in SQL.
    package var table: String
    /// The rowid that identifies the row, or that a new row gets. Nil when the key identifies it.
    package var rowid: Int64?
    /// The columns of the primary key, or `rowid` for a table without one. Empty for a row to insert.
    package var key: [Cell]
    /// Values that the row must have for the write to happen; other columns may have any value.
    package var before: [Cell]
    /// The new values; empty for a row to delete.
    package var values: [Cell]

    package init(
        _ operation: Operation,
        table: String,
        rowid: Int64? = nil,
        key: [Cell] = [],
        before: [Cell] = [],
        values: [Cell] = []
    ) {
        self.operation = operation
        self.table = table
        self.rowid = rowid
        self.key = key
        self.before = before
        self.values = values
    }

    /// The write as a statement, for clients that watch queries.
    package var sql: String {
        let name = table.quotedAsIdentifier
        let columns = values.map { $0.column.quotedAsIdentifier }
        var conditions = key.map { "\($0.column.quotedAsIdentifier) IS ?" }
        if let rowid, operation != .insert { conditions.insert("rowid = \(rowid)", at: 0) }
        let condition = conditions.isEmpty ? "" : " WHERE \(conditions.joined(separator: " AND "))"
        switch operation {
        case .insert:
            return "INSERT INTO \(name) " + SQLText.insertion(of: columns)
        case .update:
            return "UPDATE \(name) SET \(columns.map { "\($0) = ?" }.joined(separator: ", "))\(condition)"
        case .delete:
            return "DELETE FROM \(name)\(condition)"
        }
    }
}

/// A row as stored in the database.
package struct RowImage: Sendable, Hashable {
    /// Every column of `SELECT *`, in order.
    package var cells: [RowWrite.Cell]
    /// For a table with rowids that SQL can name.
    package var rowid: Int64?
}

/// Parts of statements that are built from names.
enum SQLText {
    /// The text after the table's name, with a parameter for each column.
    static func insertion(of columns: [String]) -> String {
        guard !columns.isEmpty else { return "DEFAULT VALUES" }
        let parameters = columns.map { _ in "?" }.joined(separator: ", ")
        return "(\(columns.joined(separator: ", "))) VALUES (\(parameters))"
    }
}
