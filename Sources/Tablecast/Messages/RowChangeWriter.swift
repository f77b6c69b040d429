import ChangeCapture
import LiveQueries
package import SQLiteConnection
package import WireProtocol

/// Writes the rows of one table as JSON, directly from their records: an entry of `rows` in `table:modified`.
struct RowChangeWriter {
    private let columns: [JSONKey]
    /// The columns of the primary key that are not an alias of the rowid, in key order.
    private let keyColumns: [Int]
    /// The name of the rowid within `key`, if it is the key.
    private let rowidKey: JSONKey?
    private let level: RowLevel
    private let detail: CaptureLevel
    private let omitted: Set<Int>

    /// - Parameters:
    ///   - table: the table after the transaction.
    ///   - level: the detail that the subscriber requested; not ``RowLevel/none``.
    ///   - detail: the content of the rows.
    ///   - omitted: positions of columns that `before` and `after` omit.
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

    /// - Parameter crossing: set when the subscription has a condition, and an update changed whether the row matches
    ///   it.
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
                // The record holds only the key's columns, in key order.
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

/// The rows of one transaction as JSON: encoded once per table and level, however many subscriptions list them.
struct TransactionRows: Sendable {
    private struct Key: Hashable {
        /// A transaction contains the rows of a table once.
        var table: SQLName
        var level: RowLevel
        /// The rule that the rows were selected by.
        var rule: TableRule?
    }

    private var encoded: [Key: EncodedRows] = [:]

    /// - Parameter level: not ``RowLevel/none``.
    mutating func encoded(_ rows: TableRows, _ level: RowLevel, _ rule: TableRule? = nil) -> EncodedRows {
        let key = Key(table: SQLName(rows.table.name), level: level, rule: rule)
        if let known = encoded[key] { return known }
        let new = EncodedRows(rows, level: level)
        encoded[key] = new
        return new
    }
}

/// The changed rows of one table as elements of a JSON array.
struct EncodedRows: Sendable {
    /// With their commas.
    private let json: [UInt8]
    /// The end offset of each.
    private let ends: [Int]
    let operations: [RowChange.Operation]
    /// Names of the columns that `before` and `after` omit.
    let columnsOmitted: [String]

    /// - Parameter crossings: how each row crossed the subscription's condition; empty without one.
    init(_ rows: TableRows, level: RowLevel, crossings: [FilteredRows.Crossing?] = []) {
        columnsOmitted = level == .values ? rows.columnsOmitted : []
        let columns = rows.table.columns
        let row = RowChangeWriter(
            rows.table,
            level: level,
            detail: rows.detail,
            omitting: Set(columns.indices.filter { rows.columnsOmitted.contains(columns[$0].name) })
        )
        var writer = JSONWriter(capacityBytes: 4096)
        var ends: [Int] = []
        ends.reserveCapacity(rows.rows.count)
        for (index, change) in rows.rows.enumerated() {
            row.write(change, crossing: crossings.indices.contains(index) ? crossings[index] : nil, to: &writer)
            ends.append(writer.count)
        }
        json = writer.bytes
        self.ends = ends
        operations = rows.rows.map(\.operation)
    }

    /// The indices of the rows with one of these operations.
    func indices(of wanted: TableOperations) -> [Int] {
        operations.indices.filter { wanted.contains(operations[$0].tableOperation) }
    }

    func bytes(of index: Int) -> ArraySlice<UInt8> {
        // Starts after the comma.
        json[(index == 0 ? 0 : ends[index - 1] + 1)..<ends[index]]
    }

    /// The approximate bytes of the rows, with their commas.
    func byteCount(of indices: ArraySlice<Int>) -> Int {
        guard let first = indices.first, let last = indices.last else { return 0 }
        return ends[last] - bytes(of: first).startIndex
    }

    /// - Parameter indices: ascending.
    func write(_ indices: ArraySlice<Int>, to writer: inout JSONWriter) {
        guard let first = indices.first, let last = indices.last else { return }
        // All of them: written at once, including the commas.
        if last - first + 1 == indices.count {
            writer.raw(json[bytes(of: first).startIndex..<ends[last]])
        } else {
            for index in indices { writer.raw(bytes(of: index)) }
        }
    }
}

extension JSONWriter {
    /// A database value with borrowed bytes, written without a copy.
    @inline(__always)
    mutating func value(_ value: BorrowedValue) {
        switch value {
        case .null: null()
        case .integer(let value): integer(value)
        case .real(let value): real(value)
        case .text(let bytes): text(bytes)
        case .blob(let bytes): blob(bytes)
        }
    }
}

extension WireValue {
    package init(_ value: SQLiteValue) {
        self =
            switch value {
            case .null: .null
            case .integer(let value): .integer(value)
            case .real(let value): .real(value)
            case .text(let value): .text(value)
            case .malformedText(let bytes): .malformedText(bytes)
            case .blob(let bytes): .blob(bytes)
            }
    }
}

extension SQLiteValue {
    init(_ value: WireValue) {
        self =
            switch value {
            case .null: .null
            case .integer(let value): .integer(value)
            case .real(let value): .real(value)
            case .text(let value): .text(value)
            case .malformedText(let bytes): .malformedText(bytes)
            case .blob(let bytes): .blob(bytes)
            }
    }
}
