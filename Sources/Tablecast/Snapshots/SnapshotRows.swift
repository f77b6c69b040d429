import Broadcast
import ChangeCapture
import LiveQueries
import QueryEngine
import SQLiteConnection
import WireProtocol

/// The rows of a read transaction as `table:snapshot` messages of bounded size, table after table, and then
/// `snapshot:end`.
///
/// `@unchecked Sendable`: its only user requests the next message after it has received the previous one, on any
/// thread.
final class SnapshotRows: @unchecked Sendable {
    static let maxMessageBytes = 256 << 10

    private let limits: SnapshotLimits
    private let transaction: ReadTransaction
    private let subscription: TableSubscription
    private let position: Position
    /// The names of all tables.
    let tableNames: [String]
    private var tables: ArraySlice<SchemaSnapshot.Table>
    private var current: Reading?
    private var complete: [String] = []
    private var unreadable: [SnapshotEndPayload.UnreadableTable] = []

    /// The table that is currently read.
    private final class Reading {
        let table: TableDescription
        let columns: [String]
        let keys: [JSONKey]
        /// Whether changes identify the rows by their rowids, because no key does.
        let hasRowids: Bool
        /// The rowid of the current row.
        private(set) var rowid: Int64?
        private var statement: Statement
        /// The index after the rowid, if that is a column of the result.
        private let firstColumn: Int
        /// Steps in parallel, when a table has as many columns as a result can have.
        private var rowids: Statement?
        /// Steps in parallel, when columns have taken all names of the rowid.
        private var tree: TreeRowids?

        init(_ table: SchemaSnapshot.Table, _ connection: Connection, _ filter: TableFilter) throws {
            self.table = table.description
            let description = table.description
            let condition = filter.condition
            hasRowids = !description.isIdentifiedByKey
            let source = try Self.source(of: description, filter.rule(for: description.name), on: connection)
            let name = source.sql
            // When the subscription began, it was checked to be an expression over the table's columns.
            let which = condition.map { " WHERE (\n\($0.sql)\n)" } ?? ""
            var first = 0
            if !hasRowids {
                statement = try connection.prepare("SELECT * FROM \(name)\(which)")
            } else if let rowid = description.rowidName, description.columns.count < connection.limit(.columns) {
                first = 1
                let columns = source.isRuled ? "*" : "\(rowid), *"
                statement = try connection.prepare("SELECT \(columns) FROM \(name)\(which)")
            } else if source.isRuled {
                throw ProtocolError(
                    .databaseError,
                    "table \(quoted(description.name)): its columns leave no name for the rowid, which a row rule needs"
                )
            } else if let rowid = description.rowidName {
                rowids = try connection.prepare("SELECT \(rowid) FROM \(name)\(which) ORDER BY \(rowid)")
                statement = try connection.prepare("SELECT * FROM \(name)\(which) ORDER BY \(rowid)")
            } else {
                guard condition == nil else {
                    throw ProtocolError(
                        .databaseError,
                        "table \(quoted(description.name)): its columns use all names of the rowid; subscribe without where"
                    )
                }
                tree = try TreeRowids(root: UInt32(clamping: table.rootPage), of: connection)
                guard tree != nil else {
                    throw ProtocolError(
                        .tooBig,
                        "table \(quoted(description.name)): its columns use all names of the rowid, and the database is "
                            + "larger than \(TreeRowids.maxDatabaseBytes) bytes"
                    )
                }
                // Without an index the rows come in the order of the tree.
                statement = try connection.prepare("SELECT * FROM \(name) NOT INDEXED")
            }
            if let condition {
                let values = try LiveParameters(condition.parameters).values(for: statement)
                for (index, value) in values.enumerated() {
                    try statement.bind(value, at: index + 1)
                    try rowids?.bind(value, at: index + 1)
                }
            }
            firstColumn = first
            var columns: [String] = []
            for column in first..<statement.columnCount { columns.append(statement.columnName(column)) }
            self.columns = columns
            keys = columns.map { JSONKey($0) }
        }

        /// What a snapshot selects from: the table, or the rows of it that a rule permits.
        ///
        /// `LIMIT` keeps SQLite from evaluating the subscription's own condition on other rows: its errors would tell
        /// about them.
        private static func source(
            of table: TableDescription,
            _ rule: TableRule?,
            on connection: Connection
        ) throws -> (sql: String, isRuled: Bool) {
            let name = "main.\(SQLName(table.name).quoted)"
            guard let rule else { return (name, false) }
            let expression = try RuleExpression(rule.condition.sql, maxBytes: WireProtocol.RowCondition.maxSQLBytes)
            var claims: [String: SQLiteValue] = [:]
            if case .named(let values) = rule.condition.parameters { claims = values.mapValues { SQLiteValue($0) } }
            try connection.registerClaims(claims, as: SQLRowRules.claimFunction)
            let columns = table.isIdentifiedByKey ? "*" : table.rowidName.map { "\($0) AS \($0), *" } ?? "*"
            let condition = expression.sql { SQLRowRules.claim($0) }
            return ("(SELECT \(columns) FROM \(name) WHERE (\n\(condition)\n) LIMIT -1 OFFSET 0)", true)
        }

        func step() throws -> Bool {
            guard try statement.step() else { return false }
            if tree != nil {
                rowid = try tree?.next()
                guard rowid != nil else {
                    throw ProtocolError(
                        .databaseError,
                        "table \(quoted(table.name)): its b-tree has fewer rows than SQL"
                    )
                }
            } else if try rowids?.step() != nil {
                rowid = rowids?.integer(0)
            } else if hasRowids {
                rowid = statement.integer(0)
            }
            return true
        }

        func writeRow(to writer: inout JSONWriter, maxRowBytes: Int) throws(ProtocolError) {
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

        /// The current row's key, for error messages.
        private var rowName: String {
            if let rowid { return "with the rowid \(rowid)" }
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

    init(
        _ transaction: ReadTransaction,
        of subscription: TableSubscription,
        position: Position,
        limits: SnapshotLimits
    ) throws(SQLiteError) {
        self.limits = limits
        self.transaction = transaction
        self.subscription = subscription
        self.position = position
        let schema = try SchemaSnapshot.load(from: transaction.connection)
        let tables = schema.visibleTables.filter { table in
            table.description.kind == .table && subscription.filter.includes(table: table.description.name)
        }
        // Of an index too, which can have an expression, and be read in the table's place.
        transaction.boundValues(
            schema: tables.map(\.description.sql)
                + ([subscription.filter.condition] + subscription.filter.rules.map(\.condition)).compactMap { $0?.sql }
        )
        self.tables = tables[...]
        tableNames = tables.map(\.description.name)
    }

    /// The next message; nil at the end.
    ///
    /// - Throws: SQLite's errors for the database. Errors of a single table are reported at the end.
    func next() throws -> EncodedMessage? {
        try transaction.connection.withDeadline(limits.maxMessageTime) { try nextMessage() }
    }

    private func nextMessage() throws -> EncodedMessage? {
        while let table = tables.first {
            do {
                let reading = try current ?? Reading(table, transaction.connection, subscription.filter)
                current = reading
                let message = try rows(of: reading)
                return message
            } catch let error where Self.concernsOneTable(error) {
                // SQLite's error can name any table.
                let reason = subscription.filter.hidesOtherTables ? "it cannot be read" : reason(of: error)
                unreadable.append(.init(table: table.description.name, error: reason))
                nextTable()
            }
        }
        return nil
    }

    /// The final message.
    var end: EncodedMessage {
        let header = EnvelopeHeader(.snapshotEnd, channel: .tables, position: position)
        let payload = SnapshotEndPayload(
            subscription: subscription.id,
            tables: complete,
            unreadable: unreadable,
            position: position
        )
        return EncodedMessage(header, payload, resumePosition: position)
    }

    private func nextTable() {
        current = nil
        tables = tables.dropFirst()
    }

    private func rows(of reading: Reading) throws -> EncodedMessage {
        var rows = JSONWriter(capacityBytes: Self.maxMessageBytes + (16 << 10))
        var rowids: [Int64] = []
        var isLast = false
        while rows.count < Self.maxMessageBytes {
            guard try reading.step() else {
                isLast = true
                break
            }
            if let rowid = reading.rowid { rowids.append(rowid) }
            try reading.writeRow(to: &rows, maxRowBytes: limits.maxRowBytes)
        }
        if isLast {
            complete.append(reading.table.name)
            nextTable()
        }
        return message(reading, rows, reading.hasRowids ? rowids : nil, isLast: isLast)
    }

    /// Whether other tables can be read nevertheless: the table needs a collation or function that this process lacks,
    /// one of its pages is corrupt, a row is too large.
    private static func concernsOneTable(_ error: any Error) -> Bool {
        switch error {
        case let error as SQLiteError:
            [.error, .corrupt, .tooBig, .auth, .range, .interrupt].contains(error.code.primary)
        case let error as ProtocolError: [.tooBig, .databaseError].contains(error.code)
        case is WALDecodeError: true
        default: false
        }
    }

    private func reason(of error: any Error) -> String {
        switch error {
        case let error as SQLiteError where error.code.primary == .interrupt:
            "its rows took longer than \(limits.maxMessageTime) to compute"
        case let error as SQLiteError: error.message
        case let error as ProtocolError: error.message
        default: "\(error)"
        }
    }

    private func message(_ reading: Reading, _ rows: JSONWriter, _ rowids: [Int64]?, isLast: Bool) -> EncodedMessage {
        var writer = JSONWriter(capacityBytes: rows.count + 1024)
        writer.beginEnvelope(EnvelopeHeader(.tableSnapshot, channel: .tables, position: position))
        TableSnapshotPayload.beginWriting(
            to: &writer,
            subscription: subscription.id,
            tableName: reading.table.name,
            columns: reading.columns,
            key: reading.hasRowids ? nil : reading.table.primaryKey.map { reading.table.columns[$0].name }
        )
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
