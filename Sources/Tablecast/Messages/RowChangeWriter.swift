import ChangeCapture
import LiveQueries
import SQLiteConnection
import WireProtocol

/// Writes the rows of one table as JSON, straight from their records: an entry of `rows` in `table:modified`.
struct RowChangeWriter {
    private let columns: [JSONKey]
    /// The columns of the primary key that are not just another name for the rowid, in key order.
    private let keyColumns: [Int]
    /// The name of the rowid within `key`, where it is the key.
    private let rowidKey: JSONKey?
    private let level: RowLevel
    private let detail: CaptureLevel
    private let omitted: Set<Int>

    /// - Parameters:
    ///   - table: the table as it is after the transaction.
    ///   - level: what the subscriber asked for; not ``RowLevel/none``.
    ///   - detail: what the rows hold.
    ///   - omitted: positions of columns that are left out of `before` and `after`.
    init(_ table: TableDescription, level: RowLevel, detail: CaptureLevel, omitting omitted: Set<Int> = []) {
        columns = table.columns.map { JSONKey($0.name) }
        if let alias = table.rowidAlias {
            rowidKey = columns[alias]
            keyColumns = []
        } else if table.primaryKey.isEmpty {
            rowidKey = JSONKey("rowid")
            keyColumns = []
        } else {
            rowidKey = nil
            keyColumns = table.primaryKey
        }
        self.level = level
        self.detail = detail
        self.omitted = omitted
    }

    /// - Parameter crossing: where the subscription has a condition, and an update changed whether the row matches it.
    func write(_ change: RowChange, crossing: FilteredRows.Crossing? = nil, to writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("op")
        switch change.operation {
        case .insert: writer.string("insert")
        case .update: writer.string("update")
        case .delete: writer.string("delete")
        }
        writer.field("filter", crossing?.rawValue)
        writer.key("key")
        writeKey(change, to: &writer)
        if let rowid = change.rowid {
            writer.key("rowid")
            writer.integer(rowid)
        }
        if level == .values {
            if let before = change.before {
                writer.key("before")
                writeRow(before, to: &writer)
            }
            if let after = change.after {
                writer.key("after")
                writeRow(after, to: &writer)
            }
        }
        writer.endObject()
    }

    private func writeKey(_ change: RowChange, to writer: inout JSONWriter) {
        writer.beginObject()
        if let rowidKey, let rowid = change.rowid {
            writer.key(rowidKey)
            writer.integer(rowid)
        } else if let row = change.after ?? change.before {
            if detail == .keys {
                // The record holds the key's columns alone, in key order.
                var position = 0
                row.forEachField { field in
                    writer.key(columns[keyColumns[position]])
                    writer.value(field)
                    position += 1
                }
            } else {
                for column in keyColumns {
                    writer.key(columns[column])
                    writer.value(WireValue(row[column]))
                }
            }
        }
        writer.endObject()
    }

    private func writeRow(_ row: Row, to writer: inout JSONWriter) {
        writer.beginObject()
        var column = 0
        row.forEachField { field in
            defer { column += 1 }
            if !omitted.isEmpty, omitted.contains(column) { return }
            writer.key(columns[column])
            writer.value(field)
        }
        writer.endObject()
    }
}
