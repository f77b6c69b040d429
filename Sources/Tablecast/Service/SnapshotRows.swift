import Broadcast
import ChangeCapture
import QueryService
import SQLiteConnection
import WireProtocol

/// The rows of a read transaction as `table:snapshot` messages of bounded size, table after table.
///
/// `@unchecked Sendable`: its one user asks for the next message when it has got the one before, on whatever thread.
final class SnapshotRows: @unchecked Sendable {
    static let maxMessageBytes = 256 << 10
    /// The values of a row, as they are in SQLite: no more than a query gives.
    static let maxRowBytes = QueryLimits().maxRowBytes

    /// How long the rows of one message may take: a generated column can be as slow as it likes.
    static let maxMessageTime = Duration.seconds(10)

    private let transaction: ReadTransaction
    private let position: Position
    private var tables: ArraySlice<SchemaSnapshot.Table>
    private var current: Reading?

    /// A table that is being read.
    private final class Reading {
        let table: TableDescription
        let columns: [String]
        /// The row's number is the key, and comes as the first result column, if there is room for it.
        let hasRowids: Bool
        private var statement: Statement
        /// Steps along where a table has as many columns as a result can have.
        private var rowids: Statement?
        private let firstColumn: Int
        let keys: [JSONKey]

        init(_ table: TableDescription, _ connection: Connection) throws(SQLiteError) {
            self.table = table
            // Where columns are the key, it is among them.
            let rowid = table.primaryKey.isEmpty ? table.rowidName : nil
            hasRowids = rowid != nil
            let name = SQLName(table.name).quoted
            var first = 0
            if let rowid, table.columns.count >= connection.limit(.columns) {
                statement = try connection.prepare("SELECT * FROM main.\(name) ORDER BY \(rowid)")
                rowids = try connection.prepare("SELECT \(rowid) FROM main.\(name) ORDER BY \(rowid)")
            } else {
                statement = try connection.prepare("SELECT \(rowid.map { "\($0), " } ?? "")* FROM main.\(name)")
                first = rowid == nil ? 0 : 1
            }
            firstColumn = first
            var columns: [String] = []
            for column in first..<statement.columnCount { columns.append(statement.columnName(column)) }
            self.columns = columns
            keys = columns.map { JSONKey($0) }
        }

        func step() throws(SQLiteError) -> Bool {
            _ = try rowids?.step()
            return try statement.step()
        }

        var rowid: Int64 { rowids?.integer(0) ?? statement.integer(0) }

        func writeRow(to writer: inout JSONWriter) throws(ProtocolError) {
            var byteCount = 0
            writer.beginObject()
            for (index, key) in keys.enumerated() {
                statement.withColumn(firstColumn + index) { value in
                    byteCount += value.byteCount
                    guard byteCount <= maxRowBytes else { return }
                    writer.key(key)
                    writer.value(value)
                }
            }
            writer.endObject()
            guard byteCount <= maxRowBytes else {
                throw ProtocolError(
                    .tooBig,
                    "table \(quoted(table.name)): the row \(rowName) has \(byteCount) bytes; a row may have \(maxRowBytes)"
                )
            }
        }

        /// The current row's key.
        private var rowName: String {
            if hasRowids { return "with the rowid \(rowid)" }
            var writer = JSONWriter()
            writer.beginObject()
            for index in table.primaryKey {
                statement.withColumn(firstColumn + index) { value in
                    guard value.byteCount <= 256 else { return }
                    writer.key(keys[index])
                    writer.value(value)
                }
            }
            writer.endObject()
            return String(decoding: writer.bytes, as: UTF8.self)
        }
    }

    init(_ transaction: ReadTransaction, filter: TableFilter, position: Position) throws(SQLiteError) {
        self.transaction = transaction
        self.position = position
        let schema = try SchemaSnapshot.load(from: transaction.connection)
        tables =
            schema.visibleTables.filter { table in
                table.description.kind == .table && filter.includes(table: table.description.name)
            }[...]
    }

    /// The next message; nil at the end.
    ///
    /// - Throws: what SQLite says, or `TOO_BIG` for a row beyond ``maxRowBytes``.
    func next() throws -> EncodedMessage? {
        let deadline = ContinuousClock.now + Self.maxMessageTime
        transaction.connection.setProgressHandler(everySteps: 1_000) {
            ContinuousClock.now < deadline ? .proceed : .interrupt
        }
        if current == nil {
            guard let table = tables.popFirst() else { return nil }
            current = try Reading(table.description, transaction.connection)
        }
        guard let reading = current else { return nil }
        var rows = JSONWriter(capacityBytes: Self.maxMessageBytes + (16 << 10))
        var rowids: [Int64] = []
        var isLast = false
        while rows.count < Self.maxMessageBytes {
            guard try reading.step() else {
                isLast = true
                break
            }
            if reading.hasRowids { rowids.append(reading.rowid) }
            try reading.writeRow(to: &rows)
        }
        if isLast { current = nil }
        return message(reading, rows, reading.hasRowids ? rowids : nil, isLast: isLast)
    }

    private func message(_ reading: Reading, _ rows: JSONWriter, _ rowids: [Int64]?, isLast: Bool) -> EncodedMessage {
        var writer = JSONWriter(capacityBytes: rows.count + 1024)
        writer.beginEnvelope(EnvelopeHeader(.tableSnapshot, channel: .tables, position: position))
        TableSnapshotPayload.beginWriting(to: &writer, tableName: reading.table.name, columns: reading.columns)
        if rows.count > 0 { writer.raw(rows.bytes) }
        TableSnapshotPayload.endWriting(to: &writer, isLast: isLast, rowids: rowids)
        writer.endEnvelope()
        return EncodedMessage(writer, type: .tableSnapshot)
    }
}

extension BorrowedValue {
    fileprivate var byteCount: Int {
        switch self {
        case .null: 0
        case .integer, .real: 8
        case .text(let bytes), .blob(let bytes): bytes.count
        }
    }
}
