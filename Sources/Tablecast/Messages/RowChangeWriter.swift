import ChangeCapture
import LiveQueries
package import SQLiteConnection
import Synchronization
package import WireProtocol

/// Writes the rows of one table as JSON, directly from their records: an entry of `rows` in `table:modified`.
struct RowChangeWriter: Sendable {
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

    /// The last one that was made by ``of(_:level:)``: most transactions change the same table as the one before.
    private static let last = Mutex<(table: TableDescription, level: RowLevel, detail: CaptureLevel, writer: Self)?>(
        nil
    )

    /// A writer for the rows of a table in a transaction.
    ///
    /// - Parameter level: the detail that the subscriber requested; not ``RowLevel/none``.
    static func of(_ rows: TableRows, level: RowLevel) -> RowChangeWriter {
        guard rows.columnsOmitted.isEmpty else {
            let columns = rows.table.columns
            let omitted = columns.indices.filter { rows.columnsOmitted.contains(columns[$0].name) }
            return RowChangeWriter(rows.table, level: level, detail: rows.detail, omitting: Set(omitted))
        }
        return last.withLock { last in
            if let last, last.level == level, last.detail == rows.detail, last.table == rows.table {
                return last.writer
            }
            let writer = RowChangeWriter(rows.table, level: level, detail: rows.detail)
            last = (rows.table, level, rows.detail, writer)
            return writer
        }
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

/// The rows of one transaction as JSON: each encoded once per level, however many subscriptions list it.
struct TransactionRows: Sendable {
    private struct Key: Hashable {
        /// A transaction contains the rows of a table once.
        var table: SQLName
        var level: RowLevel
        /// The rule that the rows were selected by.
        var rule: TableRule?
    }

    /// The JSON of more rows is not kept for other subscriptions: it would need as much memory as their messages.
    private let maxSharedRows: Int

    init(maxSharedRows: Int = 100_000) { self.maxSharedRows = maxSharedRows }

    /// Whether the rows are encoded once for all subscriptions.
    func areShared(_ rows: TableRows) -> Bool { rows.rows.count <= maxSharedRows }

    /// For the messages of one subscription after the other; nil while it is in use.
    var writer: JSONWriter?

    /// The last that was used; most transactions have only one.
    private var last: (key: Key, rows: EncodedRows)?
    private var others: [Key: EncodedRows] = [:]
    /// What the subscriptions' rules and conditions select.
    var filtered = RowFilterResults()

    /// - Parameters:
    ///   - listed: the rows that will be written; in ascending order.
    ///   - level: not ``RowLevel/none``.
    mutating func encode(
        _ rows: TableRows,
        _ listed: [ListedRow],
        _ level: RowLevel,
        _ rule: TableRule? = nil
    ) -> EncodedRows {
        let key = Key(table: SQLName(rows.table.name), level: level, rule: rule)
        // Taken, so that rows are added in place.
        var result: EncodedRows
        let known = last.take()
        if let known, known.key == key {
            result = known.rows
        } else {
            if let known { others[known.key] = known.rows }
            result = others.removeValue(forKey: key) ?? EncodedRows(rows, level: level)
        }
        result.encode(listed)
        last = (key, result)
        return result
    }

    /// The same for all subscriptions whose conditions select the same rows.
    private struct SelectionKey: Hashable {
        var selection: ObjectIdentifier
        var operations: TableOperations
        var level: RowLevel
        var rule: TableRule?
    }

    /// What a condition selects as the content of messages, several when one would be too large.
    struct Part {
        var counts: RowsModification
        /// Nil where the rows are not listed.
        var json: [UInt8]?
    }

    /// Each with the selection, whose identity is the key.
    private var parts: [SelectionKey: (FilteredRows.Selection, [Part])] = [:]

    /// - Parameter filter: of the subscription; its condition selects `selection`.
    mutating func parts(of rows: TableRows, _ selection: FilteredRows.Selection, _ filter: TableFilter) -> [Part] {
        let key = SelectionKey(
            selection: ObjectIdentifier(selection),
            operations: filter.operations,
            level: filter.rowLevel,
            rule: filter.rule(for: rows.table.name)
        )
        if let known = parts[key] { return known.1 }
        let made = makeParts(of: rows, selection, filter)
        parts[key] = (selection, made)
        return made
    }

    private mutating func makeParts(
        of rows: TableRows,
        _ selection: FilteredRows.Selection,
        _ filter: TableFilter
    ) -> [Part] {
        // The operation is that of the transaction, whether the row entered, left or stayed.
        let entries = selection.entries.filter { filter.operations.contains($0.operation.tableOperation) }
        guard filter.rowLevel != .none else {
            var counts = RowsModification(inserted: 0, updated: 0, deleted: 0)
            for entry in entries { counts.count(entry.change.operation) }
            return [Part(counts: counts, json: nil)]
        }
        let listed = entries.map { ListedRow(index: $0.index, change: $0.change, crossing: $0.crossing) }
        let encoded = encode(rows, listed, filter.rowLevel, filter.rule(for: rows.table.name))
        return encoded.parts(of: listed, maxBytes: TransactionMessages.maxRowsMessageBytes).map { part in
            var writer = JSONWriter(capacityBytes: part.byteCount)
            encoded.write(listed[part.range], to: &writer)
            return Part(counts: part.counts, json: writer.bytes)
        }
    }
}

/// The rows of one message as JSON, with their counts.
struct PartWriter {
    private(set) var counts: RowsModification
    /// With commas between them.
    private var json = JSONWriter(capacityBytes: TransactionMessages.maxRowsMessageBytes + 4_096)
    private let columnsOmitted: [String]

    init(columnsOmitted: [String]) {
        self.columnsOmitted = columnsOmitted
        counts = Self.none(columnsOmitted)
    }

    private static func none(_ columnsOmitted: [String]) -> RowsModification {
        var counts = RowsModification(inserted: 0, updated: 0, deleted: 0)
        if !columnsOmitted.isEmpty { counts.columnsOmitted = columnsOmitted }
        return counts
    }

    /// With a comma after each row.
    var byteCount: Int { json.count == 0 ? 0 : json.count + 1 }

    mutating func append(_ row: ListedRow, _ writer: RowChangeWriter) {
        counts.count(row.change.operation)
        writer.write(row.change, crossing: row.crossing, to: &json)
    }

    mutating func removeAll() {
        json.removeAll()
        counts = Self.none(columnsOmitted)
    }

    func write(to writer: inout JSONWriter) { json.withUnsafeBytes { writer.raw($0) } }
}

/// A row of a transaction in the message to a subscription.
struct ListedRow {
    /// Its place among the rows of its table.
    var index: Int
    /// As the subscription sees it: a row that enters its condition is inserted.
    var change: RowChange
    /// Set when the subscription has a condition, and an update changed whether the row matches it.
    var crossing: FilteredRows.Crossing?
}

/// The changed rows of one table as elements of a JSON array, each encoded when it is first listed.
struct EncodedRows: Sendable {
    private let row: RowChangeWriter
    /// With commas between them.
    private var json: JSONWriter
    /// Where each row is in ``json``: as it is, entered and left; empty for one that was not listed.
    private var places: [(start: Int, end: Int)]
    /// Names of the columns that `before` and `after` omit.
    let columnsOmitted: [String]

    init(_ rows: TableRows, level: RowLevel) {
        columnsOmitted = level == .values ? rows.columnsOmitted : []
        row = RowChangeWriter.of(rows, level: level)
        // A small block for a few rows: an allocator takes more time for a larger one, and most transactions are small.
        json = JSONWriter(capacityBytes: min(rows.rows.count, 8) * 512)
        places = Array(repeating: (0, 0), count: rows.rows.count * 3)
    }

    private static func place(of row: ListedRow) -> Int {
        switch row.crossing {
        case nil: row.index * 3
        case .entered: row.index * 3 + 1
        case .left: row.index * 3 + 2
        }
    }

    mutating func encode(_ listed: [ListedRow]) {
        for item in listed {
            let place = Self.place(of: item)
            if places[place].end > 0 { continue }
            // After the comma.
            let start = json.count == 0 ? 0 : json.count + 1
            row.write(item.change, crossing: item.crossing, to: &json)
            places[place] = (start, json.count)
        }
    }

    /// The bytes of an encoded row.
    private func byteCount(of row: ListedRow) -> Int {
        let place = places[Self.place(of: row)]
        return place.end - place.start
    }

    /// Rows of one message.
    struct Part {
        var range: Range<Int>
        var counts: RowsModification
        var byteCount: Int
    }

    /// Divides rows so that no message has many more bytes of rows; none without rows.
    func parts(of listed: [ListedRow], maxBytes: Int) -> [Part] {
        var parts: [Part] = []
        var next = listed.startIndex
        while next < listed.endIndex {
            let first = next
            var counts = RowsModification(inserted: 0, updated: 0, deleted: 0)
            if !columnsOmitted.isEmpty { counts.columnsOmitted = columnsOmitted }
            var byteCount = 0
            repeat {
                counts.count(listed[next].change.operation)
                byteCount += self.byteCount(of: listed[next]) + 1
                next += 1
            } while next < listed.endIndex && byteCount < maxBytes
            parts.append(Part(range: first..<next, counts: counts, byteCount: byteCount))
        }
        return parts
    }

    /// - Parameter listed: rows that were encoded.
    func write(_ listed: ArraySlice<ListedRow>, to writer: inout JSONWriter) {
        json.withUnsafeBytes { json in
            var run: (start: Int, end: Int)?
            for row in listed {
                let next = places[Self.place(of: row)]
                if let known = run, known.end + 1 == next.start {
                    // Its neighbour: written at once, with the comma.
                    run = (known.start, next.end)
                } else {
                    if let run { writer.raw(json[run.start..<run.end]) }
                    run = next
                }
            }
            if let run { writer.raw(json[run.start..<run.end]) }
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
