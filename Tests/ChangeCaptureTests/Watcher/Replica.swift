import OracleSupport
import SQLiteConnection

@testable import ChangeCapture

/// A copy of a database built only from the reports; it records every inconsistency: an insert of an existing row, an
/// update or delete of a missing one, a wrong old value, an update without a change.
struct Replica {
    struct Key: Hashable {
        var rowid: Int64?
        var columns: Row?
    }

    struct Table {
        var description: TableDescription
        var rows: [Key: Row] = [:]
        /// A sum over all rows, independent of their order.
        var digest: UInt64 = 0
    }

    private(set) var tables: [String: Table] = [:]
    private(set) var complaints: [String] = []
    private(set) var rowEvents = 0
    private(set) var schemaEvents = 0

    init() {}

    // MARK: The beginning

    /// Reads the whole database as the connection sees it.
    mutating func load(from connection: Connection) throws {
        tables = [:]
        for table in try SchemaSnapshot.load(from: connection).visibleTables where table.description.kind == .table {
            var copy = Table(description: table.description)
            try Self.forEachRow(of: table.description, on: connection) { key, row in
                copy.rows[key] = row
                copy.digest &+= Self.digest(key, row)
            }
            tables[table.description.name] = copy
        }
    }

    // MARK: Following

    mutating func apply(_ changes: ChangeSet) {
        var renamed: [(Table, SchemaChange.Modification)] = []
        for case .schema(.modified(let change)) in changes.events {
            guard let previous = change.previousName, change.table.kind == .table else { continue }
            guard let table = tables.removeValue(forKey: previous) else {
                complain("rename of unknown \(previous)")
                continue
            }
            renamed.append((table, change))
        }
        for event in changes.events {
            if case .schema(.dropped(let table)) = event, table.kind == .table {
                if tables.removeValue(forKey: table.name) == nil { complain("drop of unknown \(table.name)") }
            }
        }
        for (table, change) in renamed {
            if tables[change.table.name] != nil { complain("rename to existing \(change.table.name)") }
            tables[change.table.name] = table
        }
        for event in changes.events {
            switch event {
            case .schema(let change):
                schemaEvents += 1
                apply(change)
            case .rows(let rows): apply(rows)
            }
        }
    }

    private mutating func apply(_ change: SchemaChange) {
        switch change {
        case .created(let table) where table.kind == .table:
            if tables[table.name] != nil { complain("create of existing \(table.name)") }
            tables[table.name] = Table(description: table)
        case .modified(let change) where change.table.kind == .table:
            guard var table = tables[change.table.name] else {
                complain("modification of unknown \(change.table.name)")
                return
            }
            table.description = change.table
            if let sources = change.columnSources {
                var missing = change.table.columns.map { _ in SQLiteValue.null }
                do {
                    missing = try AddedColumns.missingValues(of: change.table)
                } catch { complain("no defaults of \(change.table.name): \(error)") }
                var rows: [Key: Row] = [:]
                table.digest = 0
                for (key, row) in table.rows {
                    let old = row.values
                    let values = sources.indices.map { index in sources[index].map { old[$0] } ?? missing[index] }
                    let row = Row(values)
                    let key = key.rowid == nil ? Self.key(of: row, rowid: nil, change.table) : key
                    rows[key] = row
                    table.digest &+= Self.digest(key, row)
                }
                table.rows = rows
            }
            tables[change.table.name] = table
        default: break
        }
    }

    private mutating func apply(_ rows: TableRows) {
        let name = rows.table.name
        guard tables[name] != nil else {
            complain("rows of unknown \(name)")
            return
        }
        if rows.rowsOmitted { complain("rows of \(name) omitted") }
        for change in rows.rows {
            rowEvents += 1
            apply(change, to: name, rows.table)
        }
    }

    private mutating func apply(_ change: RowChange, to name: String, _ table: TableDescription) {
        let what = "\(change.operation) in \(name) rowid \(change.rowid.map(String.init) ?? "-")"
        if let before = change.before {
            let key = Self.key(of: before, rowid: change.rowid, table)
            if let known = tables[name]?.rows.removeValue(forKey: key) {
                tables[name]?.digest &-= Self.digest(key, known)
                if known != before {
                    complain("wrong old value: \(what)\n  is \(known.values)\n  says \(before.values)")
                }
                if change.after == before { complain("update that changes nothing: \(what)") }
            } else {
                complain("of what is not there: \(what)")
            }
        }
        if let after = change.after {
            let key = Self.key(of: after, rowid: change.rowid, table)
            if tables[name]?.rows.updateValue(after, forKey: key) != nil { complain("of what is there: \(what)") }
            tables[name]?.digest &+= Self.digest(key, after)
        }
    }

    // MARK: Comparing

    /// Compares every table with the rows that SQLite reads.
    mutating func verify(against connection: Connection, _ moment: String) throws {
        let real = try SchemaSnapshot.load(from: connection).visibleTables.map(\.description).filter {
            $0.kind == .table
        }
        let missing = Set(real.map(\.name)).symmetricDifference(tables.keys)
        if !missing.isEmpty { complain("\(moment): tables differ: \(missing.sorted())") }
        for table in real {
            guard let copy = tables[table.name] else { continue }
            if copy.description.columns.map(\.name) != table.columns.map(\.name) {
                complain("\(moment): columns of \(table.name) differ")
            }
            var digest: UInt64 = 0
            var count = 0
            try Self.forEachRow(of: table, on: connection) { key, row in
                digest &+= Self.digest(key, row)
                count += 1
            }
            if digest != copy.digest || count != copy.rows.count {
                complain("\(moment): \(table.name) has \(count) rows, the copy \(copy.rows.count), or other values")
            }
        }
    }

    private mutating func complain(_ message: String) {
        if complaints.count < 100 { complaints.append(message) }
    }

    private static func forEachRow(
        of table: TableDescription,
        on connection: Connection,
        _ body: (Key, Row) -> Void
    ) throws {
        let columns = table.columns.map { SQLName($0.name).quoted }.joined(separator: ",")
        let rowid = table.hasRowid ? "rowid" : "0"
        // An index may contain another encoding of an equal value.
        let hint = table.hasRowid ? "NOT INDEXED" : ""
        var statement = try connection.prepare("SELECT \(rowid),\(columns) FROM \(SQLName(table.name).quoted) \(hint)")
        var builder = RowBuilder()
        while try statement.step() {
            for column in table.columns.indices { builder.append(statement.value(column + 1)) }
            let row = builder.finish()
            body(key(of: row, rowid: table.hasRowid ? statement.integer(0) : nil, table), row)
        }
    }

    private static func key(of row: Row, rowid: Int64?, _ table: TableDescription) -> Key {
        if let rowid { return Key(rowid: rowid, columns: nil) }
        let values = row.values
        return Key(rowid: nil, columns: Row(table.primaryKey.map { values[$0] }))
    }

    private static func digest(_ key: Key, _ row: Row) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(key.rowid)
        row.withRecord { hasher.combine(bytes: $0) }
        return UInt64(bitPattern: Int64(hasher.finalize()))
    }
}
