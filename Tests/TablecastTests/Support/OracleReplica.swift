import ChangeCapture
import SQLiteConnection
import Tablecast
import WireProtocol

/// All tables of a database according to one client's messages, including schema changes, compared with the database.
///
/// Tables are identified by the bytes of their names: two names can differ only in Unicode normalization.
struct OracleReplica {
    enum Identity: Hashable {
        case rowid(Int64)
        case key([String: WireValue])
    }

    private struct Table {
        var rows: [Identity: [String: WireValue]] = [:]
        var columns: [ColumnPayload] = []
        /// New or generated columns: only SQLite can compute their values.
        var unknownColumns: Set<String> = []
        /// Swift's strings treat two of its columns as equal: a row in a dictionary is incomplete.
        var isOpaque = false
        /// A virtual table: its content at the last check, and whether a change was reported since.
        var content: [[SQLiteValue]] = []
        var isReportedAsChanged = false

        /// - Parameter sources: for each column its index before; nil when no column changed.
        mutating func takeColumns(_ new: [ColumnPayload], sources: [Int?]?) {
            let wasOpaque = isOpaque
            isOpaque = Set(new.map(\.name)).count != new.count
            defer { columns = new }
            if isOpaque || wasOpaque { unknownColumns = Set(new.map(\.name)) }
            guard let sources, !isOpaque, !wasOpaque else { return }
            var previousNames: [String: String] = [:]
            for (column, source) in zip(new, sources) {
                guard let source, columns.indices.contains(source), column.generated == nil,
                    !unknownColumns.contains(columns[source].name)
                else { continue }
                previousNames[column.name] = columns[source].name
            }
            func carried(_ row: [String: WireValue]) -> [String: WireValue] {
                previousNames.compactMapValues { row[$0] }
            }
            var carriedRows: [Identity: [String: WireValue]] = [:]
            for (identity, row) in rows {
                let key: Identity = if case .key(let key) = identity { .key(carried(key)) } else { identity }
                carriedRows[key] = carried(row)
            }
            rows = carriedRows
            unknownColumns = Set(new.map(\.name)).subtracting(previousNames.keys)
        }

        func known(_ row: [String: WireValue]?) -> [String: WireValue]? {
            unknownColumns.isEmpty ? row : row?.filter { !unknownColumns.contains($0.key) }
        }
    }

    private(set) var position: Position?
    private(set) var complaints: [String] = []
    private(set) var rowChanges = 0
    private var tables: [[UInt8]: Table] = [:]
    /// Tables whose name another one has taken, until their own rename message.
    private var displaced: [[UInt8]: Table] = [:]
    private var isWithinTransaction = false

    /// Whether everything up to a position has been applied, to the last message of its transaction.
    func hasReached(_ goal: Position) -> Bool {
        guard let position, !isWithinTransaction else { return false }
        return position.isBefore(goal) == false
    }

    mutating func apply(_ message: Envelope) {
        switch message.payload {
        case .tableCreated(let created):
            if tables[Array(created.tableName.utf8)] != nil { complain("\(created.tableName) is created twice") }
            var table = Table()
            table.takeColumns(created.columns ?? [], sources: nil)
            tables[Array(created.tableName.utf8)] = table
            note(message, created.context)
        case .tableDropped(let dropped):
            if tables.removeValue(forKey: Array(dropped.tableName.utf8)) == nil {
                complain("\(dropped.tableName) is dropped and was not there")
            }
            note(message, dropped.context)
        case .tableModified(let modified):
            switch modified.change {
            case .schema(let schema): apply(schema, modified.tableName)
            case .rows(let rows): apply(rows, modified.tableName)
            }
            note(message, modified.context)
        default: break
        }
    }

    private mutating func complain(_ text: String) { complaints.append(text) }

    private mutating func note(_ message: Envelope, _ context: TableEventContext) {
        guard let transaction = context.transaction, message.header.position == transaction.position else {
            return complain("a message without its transaction")
        }
        let now = transaction.position
        if isWithinTransaction ? now != position : position.map({ now != $0.next }) ?? false {
            complain("\(now) follows \(position.map { "\($0)" } ?? "nothing")")
        }
        position = now
        isWithinTransaction = !transaction.isLast
        if transaction.isLast, !displaced.isEmpty {
            complain("\(displaced.count) tables were renamed over, and not away")
            displaced = [:]
        }
    }

    private mutating func apply(_ schema: SchemaModification, _ name: String) {
        let key = Array(name.utf8)
        if let previous = schema.previousName {
            let from = Array(previous.utf8)
            guard let table = displaced.removeValue(forKey: from) ?? tables.removeValue(forKey: from) else {
                return complain("\(previous) is renamed and was not there")
            }
            // The renames of a transaction are simultaneous: the rename of the table with that name follows.
            if let other = tables[key] { displaced[key] = other }
            tables[key] = table
        }
        if tables[key] == nil { complain("\(name) is altered and was not there") }
        tables[key]?.takeColumns(schema.columns ?? [], sources: schema.columnSources)
    }

    private mutating func apply(_ rows: RowsModification, _ name: String) {
        let key = Array(name.utf8)
        guard var table = tables[key] else { return complain("rows of \(name), which was not there") }
        guard let changes = rows.rows else {
            if rows.rowsOmitted != true || rows.inserted + rows.updated + rows.deleted > 0 {
                complain("no rows for \(name)")
            }
            tables[key]?.isReportedAsChanged = true
            return
        }
        for change in changes {
            rowChanges += 1
            let identity: Identity = change.rowid.map { .rowid($0) } ?? .key(change.key.mapValues(\.bytewise))
            let before = change.before?.mapValues(\.bytewise)
            // An update whose key changed carries the old one in `before`.
            let old: Identity =
                change.rowid != nil || before == nil
                ? identity : .key(before?.filter { change.key[$0.key] != nil } ?? [:])
            if !table.isOpaque, table.known(table.rows[old]) != table.known(before) {
                complain("\(name) \(change.key): had \(table.rows[old] ?? [:]), told \(change.before ?? [:])")
            }
            table.rows[old] = nil
            table.rows[identity] = change.after?.mapValues(\.bytewise)
        }
        tables[key] = table
    }

    /// Compares everything with the rows that a plain connection reads.
    mutating func compare(with connection: Connection) throws {
        let schema = try SchemaSnapshot.load(from: connection)
        let names = Set(schema.visibleTables.map { Array($0.description.name.utf8) })
        if names != Set(tables.keys) {
            complain(
                "tables \(tables.keys.map { String(decoding: $0, as: UTF8.self) }), really \(schema.visibleTables.map(\.description.name))"
            )
        }
        for table in schema.visibleTables where table.description.kind == .virtual {
            let key = Array(table.description.name.utf8)
            let content = try connection.query("SELECT rowid, * FROM \(table.name.quoted)")
            if content != tables[key]?.content, tables[key]?.isReportedAsChanged == false {
                complain("\(table.description.name) changed and it was not told")
            }
            tables[key]?.content = content
            tables[key]?.isReportedAsChanged = false
        }
        for table in schema.visibleTables where table.description.kind == .table {
            let key = Array(table.description.name.utf8)
            if tables[key]?.isReportedAsChanged == true {
                complain("the rows of \(table.description.name) were left out")
                tables[key]?.isReportedAsChanged = false
            }
            // Swift's strings treat column names that differ only in normalization as equal.
            let columns = table.description.columns.map(\.name)
            guard Set(columns).count == columns.count, let truth = try Self.rows(of: table.description, connection)
            else {
                continue
            }
            let mine = tables[key] ?? Table()
            let known = mine.rows.mapValues { mine.known($0) ?? [:] }
            let really = truth.mapValues { mine.known($0) ?? [:] }
            tables[key]?.rows = truth
            tables[key]?.unknownColumns = []
            if known != really {
                for identity in Set(known.keys).union(really.keys) where known[identity] != really[identity] {
                    let differing = Set((known[identity] ?? [:]).keys).union((really[identity] ?? [:]).keys)
                        .filter { known[identity]?[$0] != really[identity]?[$0] }
                    complain(
                        "\(table.description.name) \(identity): "
                            + differing.map { column in
                                "\(column) is \(known[identity]?[column].map { "\($0)" } ?? "-"), really "
                                    + (really[identity]?[column].map { "\($0)" } ?? "-")
                            }.joined(separator: "; ")
                    )
                }
            }
        }
    }

    /// Nil when columns have taken every name of the rowid.
    private static func rows(
        of table: TableDescription,
        _ connection: Connection
    ) throws -> [Identity: [String: WireValue]]? {
        if table.hasRowid, table.rowidName == nil { return nil }
        var rows: [Identity: [String: WireValue]] = [:]
        var statement = try connection.prepare(
            "SELECT \(table.rowidName ?? "NULL"), * FROM \(SQLName(table.name).quoted)"
        )
        while try statement.step() {
            var row: [String: WireValue] = [:]
            for column in 1..<statement.columnCount {
                row[statement.columnName(column)] = WireValue(statement.value(column)).bytewise
            }
            let key = table.primaryKey.map { table.columns[$0].name }
            rows[table.hasRowid ? .rowid(statement.integer(0)) : .key(row.filter { key.contains($0.key) })] = row
        }
        return rows
    }
}

extension WireValue {
    /// The value with its text as bytes: two Swift strings that differ only in normalization are equal.
    fileprivate var bytewise: WireValue {
        if case .text(let text) = self { .malformedText(Array(text.utf8)) } else { self }
    }
}
