package import ChangeCapture
import SQLiteConnection

/// A copy of a database made of nothing but change sets. Strict: an event that does not fit what it holds is an error.
package struct Replica {
    package struct Table {
        package var description: TableDescription
        package var objects: [SQLName: SQLName] = [:]
        package var rows: [RowIdentity: Row] = [:]
        /// Only a new snapshot would tell what it holds.
        package var isUnknown = false
    }

    package struct Mismatch: Error, CustomStringConvertible {
        package var description: String
        package init(_ description: String) { self.description = description }
    }

    package private(set) var tables: [SQLName: Table] = [:]

    package init() {}

    /// Begins with what is there.
    package init(_ truth: Truth) {
        for table in truth.schema.visibleTables {
            tables[table.name] = Table(
                description: table.description,
                objects: Dictionary(uniqueKeysWithValues: table.objects.map { ($0.name, $0.sql) }),
                rows: truth.tables[table.name]?.rows ?? [:]
            )
        }
    }

    /// A new snapshot of a table whose events left rows out.
    package mutating func reload(_ name: SQLName, _ rows: [RowIdentity: Row]) {
        tables[name]?.rows = rows
        tables[name]?.isUnknown = false
    }

    package mutating func apply(_ changes: ChangeSet) throws(Mismatch) {
        var renamed: [(SQLName, Table)] = []
        for case .schema(.modified(let change)) in changes.events {
            // Renames happen at once.
            guard let previous = change.previousName else { continue }
            guard let table = tables.removeValue(forKey: SQLName(previous)) else {
                throw Mismatch("renamed \(previous), which is not there")
            }
            renamed.append((SQLName(change.table.name), table))
        }
        for case .schema(.dropped(let table)) in changes.events {
            guard tables.removeValue(forKey: SQLName(table.name)) != nil else {
                throw Mismatch("dropped \(table.name), which is not there")
            }
        }
        for (name, table) in renamed {
            guard tables[name] == nil else { throw Mismatch("renamed to \(name.string), which is there") }
            tables[name] = table
        }
        for event in changes.events {
            switch event {
            case .schema(.created(let table)):
                guard tables.updateValue(Table(description: table), forKey: SQLName(table.name)) == nil else {
                    throw Mismatch("created \(table.name), which is there")
                }
            case .schema(.modified(let change)): try modify(change)
            case .schema(.dropped): break
            case .rows(let rows): try apply(rows)
            }
        }
    }

    private mutating func modify(_ change: SchemaChange.Modification) throws(Mismatch) {
        let name = SQLName(change.table.name)
        guard var table = tables[name] else { throw Mismatch("modified \(name.string), which is not there") }
        for object in change.objects {
            let key = SQLName(object.name)
            let known = table.objects[key]
            switch object.action {
            case .added where known != nil: throw Mismatch("added \(object.name), which is there")
            case .removed where known == nil: throw Mismatch("removed \(object.name), which is not there")
            case .changed where known == nil || known == SQLName(object.sql ?? ""):
                throw Mismatch("changed \(object.name), which did not")
            default: table.objects[key] = object.action == .removed ? nil : object.sql.map(SQLName.init)
            }
        }
        if let sources = change.columnSources, change.table.kind == .table {
            do { table.rows = try Self.convert(table, to: change.table, sources) } catch {
                throw Mismatch("rows of \(name.string) do not fit its new columns: \(error)")
            }
        }
        table.description = change.table
        tables[name] = table
    }

    /// What `ALTER TABLE` does with the rows that are there, by SQLite's own rules.
    private static func convert(
        _ table: Table,
        to description: TableDescription,
        _ sources: [Int?]
    ) throws(SQLiteError) -> [RowIdentity: Row] {
        let missing = try AddedColumns.missingValues(of: description)
        let scratch = try Connection(path: ":memory:", mode: .readWriteCreate)
        try scratch.execute("PRAGMA ignore_check_constraints = ON")
        try scratch.execute(description.sql)
        let name = SQLName(description.name).quoted
        let written = description.columns.indices.filter { description.columns[$0].visibility == .normal }
        let names = written.map { SQLName(description.columns[$0].name).quoted }.joined(separator: ", ")
        let marks = written.map { _ in "?" }.joined(separator: ", ")
        var result: [RowIdentity: Row] = [:]
        for (identity, row) in table.rows {
            let old = row.values
            let stored = description.columns.indices.map { column in
                sources[column].map { old[$0] } ?? missing[column]
            }
            _ = try scratch.query("INSERT INTO \(name)(\(names)) VALUES(\(marks))", written.map { stored[$0] })
            // Some values stay as they are that no INSERT would store.
            var values = try scratch.query("SELECT * FROM \(name)").first ?? []
            for column in values.indices where description.columns[column].visibility != .generatedVirtual {
                if description.columns[column].visibility == .normal || sources[column] != nil {
                    values[column] = stored[column]
                }
            }
            let new = Row(values)
            try scratch.execute("DELETE FROM \(name)")
            let isRowid = if case .rowid = identity { true } else { false }
            result[isRowid ? identity : .key(new.selecting(description.primaryKey))] = new
        }
        return result
    }

    private mutating func apply(_ changes: TableRows) throws(Mismatch) {
        let name = SQLName(changes.table.name)
        guard var table = tables[name] else { throw Mismatch("rows of \(name.string), which is not there") }
        guard changes.table == table.description else { throw Mismatch("\(name.string) is described otherwise") }
        if changes.rowsOmitted || changes.detail != .values {
            table.isUnknown = true
            tables[name] = table
            return
        }
        var seen: Set<RowIdentity> = []
        var counts = (0, 0, 0)
        for change in changes.rows {
            func identity(_ row: Row?) -> RowIdentity? {
                changes.table.hasRowid
                    ? change.rowid.map(RowIdentity.rowid)
                    : row.map { .key($0.selecting(changes.table.primaryKey)) }
            }
            guard let key = identity(change.before ?? change.after), seen.insert(key).inserted else {
                throw Mismatch("\(name.string): two entries for one row, or one without identity: \(change)")
            }
            let held = table.rows[key]
            guard held == change.before else {
                throw Mismatch(
                    "\(name.string) \(change.operation) \(key): held \(held?.values as Any), told \(change.before?.values as Any)"
                )
            }
            switch change.operation {
            case .insert: counts.0 += 1
            case .update: counts.1 += 1
            case .delete: counts.2 += 1
            }
            guard (change.before == nil) == (change.operation == .insert),
                (change.after == nil) == (change.operation == .delete), change.before != change.after,
                change.operation != .update || identity(change.after) == key
            else { throw Mismatch("\(name.string): an entry that is none: \(change)") }
            table.rows[key] = change.after
        }
        guard counts == (changes.inserted, changes.updated, changes.deleted) else {
            throw Mismatch("\(name.string): \(counts) rows, but counts \(changes)")
        }
        tables[name] = table
    }
}
