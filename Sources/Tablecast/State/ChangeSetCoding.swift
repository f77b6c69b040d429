import ChangeCapture
import StateStore
import Synchronization

/// Writes change sets for the state on disk. Not thread-safe.
struct ChangeSetEncoder {
    /// The encoded descriptions of recently changed tables: most transactions change the same few.
    private var tables: [TableDescription: [UInt8]] = [:]
    /// The last one of them. Comparing a description with itself takes no time, finding it by its hash does.
    private var last: (table: TableDescription, encoded: [UInt8])?
    private static let maxTables = 64
    /// The bytes since ``begin(reserving:)``.
    private(set) var writer = ByteWriter()

    /// A buffer with more bytes is not kept for the next change set.
    private static let maxKeptBytes = 64 << 10

    mutating func begin(reserving byteCount: Int = 0) {
        writer.removeAll()
        writer.reserve(byteCount)
    }

    /// Releases a large buffer. A small one is used again, without an allocation if nothing else refers to it by then.
    mutating func end() {
        if writer.bytes.count > Self.maxKeptBytes { writer = ByteWriter() }
    }

    mutating func withWriter(_ body: (inout ByteWriter) -> Void) { body(&writer) }

    /// - Parameter maxBytes: nothing is appended to more bytes than this.
    /// - Returns: whether all changes are appended.
    @discardableResult
    mutating func append(_ changes: ChangeSet, withRows: Bool = true, maxBytes: Int = .max) -> Bool {
        writer.append(changes.origin == .service)
        writer.append(count: changes.events.count)
        for event in changes.events {
            switch event {
            case .schema(let change): append(change)
            case .rows(let rows): append(rows, withRows: withRows, maxBytes: maxBytes)
            }
            if writer.bytes.count > maxBytes { return false }
        }
        return true
    }

    private mutating func append(_ change: SchemaChange) {
        switch change {
        case .created(let table):
            writer.append(1 as UInt8)
            append(table)
        case .dropped(let table):
            writer.append(2 as UInt8)
            append(table)
        case .modified(let change):
            writer.append((change.isRedefined ? 5 : 3) as UInt8)
            append(change.table)
            writer.append(change.previousName)
            writer.append(change.columnSources != nil)
            if let sources = change.columnSources {
                writer.append(count: sources.count)
                for source in sources { writer.append(count: source.map { $0 + 1 } ?? 0) }
            }
            writer.append(count: change.objects.count)
            for object in change.objects {
                writer.append(object.action.rawValue)
                writer.append(object.kind.rawValue)
                writer.append(object.name)
                writer.append(object.sql)
            }
        }
    }

    private mutating func append(_ rows: TableRows, withRows: Bool, maxBytes: Int) {
        writer.append(4 as UInt8)
        append(rows.table)
        writer.append(count: rows.inserted)
        writer.append(count: rows.updated)
        writer.append(count: rows.deleted)
        writer.append(rows.countsAreKnown)
        writer.append(rows.rowsOmitted || !withRows)
        writer.append(UInt8((withRows ? rows.detail : .counts).rawValue))
        writer.append(count: rows.columnsOmitted.count)
        for column in rows.columnsOmitted { writer.append(column) }
        writer.append(count: withRows ? rows.rows.count : 0)
        guard withRows else { return }
        for row in rows.rows {
            if writer.bytes.count > maxBytes { return }
            let operation: UInt8 =
                switch row.operation {
                case .insert: 0
                case .update: 1
                case .delete: 2
                }
            writer.append(
                operation | (row.rowid == nil ? 0 : 4) | (row.before == nil ? 0 : 8) | (row.after == nil ? 0 : 16)
            )
            if let rowid = row.rowid { writer.append(rowid) }
            if let before = row.before { append(before) }
            if let after = row.after { append(after) }
        }
    }

    private mutating func append(_ row: Row) {
        writer.append(count: row.count)
        row.withRecord { writer.append(raw: $0) }
    }

    mutating func append(_ table: TableDescription) {
        if let last, last.table == table { return writer.append(encoded: last.encoded) }
        let encoded = encoding(of: table)
        last = (table, encoded)
        writer.append(encoded: encoded)
    }

    private mutating func encoding(of table: TableDescription) -> [UInt8] {
        if let known = tables[table] { return known }
        var encoded = ByteWriter()
        encoded.append(table.name)
        encoded.append(table.kind.rawValue)
        encoded.append(table.sql)
        encoded.append(table.hasRowid)
        encoded.append(count: table.rowidAlias.map { $0 + 1 } ?? 0)
        encoded.append(count: table.primaryKey.count)
        for column in table.primaryKey { encoded.append(count: column) }
        encoded.append(count: table.columns.count)
        for column in table.columns {
            encoded.append(column.name)
            encoded.append(column.type)
            encoded.append(column.isNotNull)
            encoded.append(column.defaultSQL)
            encoded.append(count: column.primaryKeyOrdinal)
            encoded.append(UInt8(column.visibility.rawValue))
        }
        if tables.count >= Self.maxTables { tables.removeAll() }
        tables[table] = encoded.bytes
        return encoded.bytes
    }
}

/// The last description that was read: most records are of the same table as the one before, and how many bytes a description has
/// depends on nothing else.
private let lastTable = Mutex<(encoded: [UInt8], table: TableDescription)?>(nil)

/// Reads what ``ChangeSetEncoder`` wrote.
extension ByteReader {
    mutating func changeSet() throws(Malformed) -> ChangeSet {
        let origin: ChangeSet.Origin = try bool() ? .service : .external
        var events: [ChangeEvent] = []
        for _ in 0..<(try count()) {
            switch try byte() {
            case 1: events.append(.schema(.created(try table())))
            case 2: events.append(.schema(.dropped(try table())))
            case 3: events.append(.schema(.modified(try modification(isRedefined: false))))
            case 5: events.append(.schema(.modified(try modification(isRedefined: true))))
            case 4: events.append(.rows(try tableRows()))
            default: throw Malformed()
            }
        }
        return ChangeSet(origin: origin, events: events)
    }

    mutating func table() throws(Malformed) -> TableDescription {
        let last = lastTable.withLock { $0 }
        if let last, skip(last.encoded) { return last.table }
        let start = remaining
        let table = try newTable()
        lastTable.withLock { $0 = (Array(start.dropLast(remaining.count)), table) }
        return table
    }

    private mutating func newTable() throws(Malformed) -> TableDescription {
        let name = try string()
        guard let kind = TableDescription.Kind(rawValue: try string()) else { throw Malformed() }
        let sql = try string()
        let hasRowid = try bool()
        let alias = try number()
        var key: [Int] = []
        for _ in 0..<(try count()) { key.append(try number()) }
        var columns: [ColumnDescription] = []
        for _ in 0..<(try count()) { columns.append(try column()) }
        guard key.allSatisfy(columns.indices.contains), alias <= columns.count else { throw Malformed() }
        return TableDescription(
            name: name,
            kind: kind,
            sql: sql,
            columns: columns,
            primaryKey: key,
            hasRowid: hasRowid,
            rowidAlias: alias == 0 ? nil : alias - 1
        )
    }

    private mutating func column() throws(Malformed) -> ColumnDescription {
        let (name, type) = (try string(), try string())
        let (isNotNull, defaultSQL) = (try bool(), try optionalString())
        let ordinal = try number()
        guard let visibility = ColumnDescription.Visibility(rawValue: Int(try byte())) else { throw Malformed() }
        return ColumnDescription(
            name: name,
            type: type,
            isNotNull: isNotNull,
            defaultSQL: defaultSQL,
            primaryKeyOrdinal: ordinal,
            visibility: visibility
        )
    }

    private mutating func modification(isRedefined: Bool) throws(Malformed) -> SchemaChange.Modification {
        var change = SchemaChange.Modification(table: try table(), previousName: try optionalString())
        change.isRedefined = isRedefined
        if try bool() {
            var sources: [Int?] = []
            for _ in 0..<(try count()) {
                let source = try number()
                sources.append(source == 0 ? nil : source - 1)
            }
            change.columnSources = sources
        }
        for _ in 0..<(try count()) {
            guard let action = SchemaChange.ObjectChange.Action(rawValue: try string()),
                let kind = SchemaChange.ObjectChange.Kind(rawValue: try string())
            else { throw Malformed() }
            change.objects.append(
                SchemaChange.ObjectChange(action: action, kind: kind, name: try string(), sql: try optionalString())
            )
        }
        return change
    }

    private mutating func tableRows() throws(Malformed) -> TableRows {
        let table = try table()
        let (inserted, updated, deleted) = (try number(), try number(), try number())
        let (countsAreKnown, rowsOmitted) = (try bool(), try bool())
        guard let detail = CaptureLevel(rawValue: Int(try byte())) else { throw Malformed() }
        var columnsOmitted: [String] = []
        for _ in 0..<(try count()) { columnsOmitted.append(try string()) }
        var rows: [RowChange] = []
        for _ in 0..<(try count()) { rows.append(try rowChange()) }
        var result = TableRows(
            table: table,
            inserted: inserted,
            updated: updated,
            deleted: deleted,
            countsAreKnown: countsAreKnown,
            detail: detail,
            rows: rows,
            rowsOmitted: rowsOmitted
        )
        result.columnsOmitted = columnsOmitted
        return result
    }

    private mutating func rowChange() throws(Malformed) -> RowChange {
        let flags = try byte()
        let operation: RowChange.Operation
        switch flags & 3 {
        case 0: operation = .insert
        case 1: operation = .update
        case 2: operation = .delete
        default: throw Malformed()
        }
        guard flags < 32 else { throw Malformed() }
        return RowChange(
            operation: operation,
            rowid: flags & 4 == 0 ? nil : try integer(),
            before: flags & 8 == 0 ? nil : try row(),
            after: flags & 16 == 0 ? nil : try row()
        )
    }

    private mutating func row() throws(Malformed) -> Row {
        let count = try number()
        return Row(record: Array(try raw()), count: count)
    }
}
