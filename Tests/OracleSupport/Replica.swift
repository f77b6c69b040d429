package import ChangeCapture
import SQLiteConnection

/// A copy of a database built only from change sets. Strict: an event that does not match its content is an error.
package struct Replica {
    package struct Table {
        package var description: TableDescription
        package var objects: [SQLName: SQLName] = [:]
        package var rows: [RowIdentity: Row] = [:]
        /// Only a new snapshot would reveal its content.
        package var isUnknown = false
    }

    package struct Mismatch: Error, CustomStringConvertible {
        package var description: String
        package init(_ description: String) { self.description = description }
    }

    package private(set) var tables: [SQLName: Table] = [:]
    /// The encoding of the database, which generated columns can see.
    package var encoding = "UTF-8"

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

    /// A new snapshot of a table whose events omitted rows.
    package mutating func reload(_ name: SQLName, _ rows: [RowIdentity: Row]) {
        tables[name]?.rows = rows
        tables[name]?.isUnknown = false
    }

    /// The order of the events of a transaction: each stage after the previous one.
    private enum Stage: Int {
        case drops
        case renames
        case modifications
        case creations
        case rows
    }

    /// Applies the events in order; consecutive renames are simultaneous.
    package mutating func apply(_ changes: ChangeSet) throws(Mismatch) {
        var stage = Stage.drops
        var created: Set<SQLName> = []
        var events = changes.events[...]
        while let event = events.popFirst() {
            let next = Self.stage(of: event, created)
            guard next.rawValue >= stage.rawValue else { throw Mismatch("\(next) after \(stage)") }
            stage = next
            switch event {
            case .schema(.dropped(let table)):
                guard tables.removeValue(forKey: SQLName(table.name)) != nil else {
                    throw Mismatch("dropped \(table.name), which is not there")
                }
            case .schema(.modified(let change)) where next == .renames:
                var renames = [change]
                while case .schema(.modified(let other))? = events.first, other.previousName != nil {
                    renames.append(other)
                    events.removeFirst()
                }
                try rename(renames)
                for change in renames { try modify(change) }
            case .schema(.modified(let change)): try modify(change)
            case .schema(.created(let table)):
                created.insert(SQLName(table.name))
                guard tables.updateValue(Table(description: table), forKey: SQLName(table.name)) == nil else {
                    throw Mismatch("created \(table.name), which is there")
                }
            case .rows(let rows): try apply(rows)
            }
        }
    }

    private static func stage(of event: ChangeEvent, _ created: Set<SQLName>) -> Stage {
        switch event {
        case .schema(.dropped): .drops
        case .schema(.created): .creations
        case .schema(.modified(let change)) where change.previousName != nil: .renames
        case .schema(.modified(let change)) where created.contains(SQLName(change.table.name)): .creations
        case .schema(.modified): .modifications
        case .rows: .rows
        }
    }

    private mutating func rename(_ renames: [SchemaChange.Modification]) throws(Mismatch) {
        var renamed: [(SQLName, Table)] = []
        for change in renames {
            let previous = change.previousName ?? ""
            guard let table = tables.removeValue(forKey: SQLName(previous)) else {
                throw Mismatch("renamed \(previous), which is not there")
            }
            renamed.append((SQLName(change.table.name), table))
        }
        for (name, table) in renamed {
            guard tables.updateValue(table, forKey: name) == nil else {
                throw Mismatch("renamed to \(name.string), which is there")
            }
        }
    }

    private mutating func modify(_ change: SchemaChange.Modification) throws(Mismatch) {
        let name = SQLName(change.table.name)
        guard var table = tables[name] else { throw Mismatch("modified \(name.string), which is not there") }
        for object in change.objects {
            let key = SQLName(object.name)
            let known = table.objects[key]
            // The names of indexes and triggers are unique in the whole schema.
            let isTaken = known != nil || tables.contains { $0.key != name && $0.value.objects[key] != nil }
            switch object.action {
            case .added where isTaken: throw Mismatch("added \(object.name), which is there")
            case .removed where known == nil: throw Mismatch("removed \(object.name), which is not there")
            case .changed where known == nil || known == SQLName(object.sql ?? ""):
                throw Mismatch("changed \(object.name), which did not")
            default: table.objects[key] = object.action == .removed ? nil : object.sql.map(SQLName.init)
            }
        }
        if let sources = change.columnSources, change.table.kind == .table {
            do { table.rows = try convert(table, to: change.table, sources) } catch {
                throw Mismatch("rows of \(name.string) do not fit its new columns: \(error)")
            }
        }
        table.description = change.table
        tables[name] = table
    }

    /// The effect of `ALTER TABLE` on existing rows, by SQLite's own rules.
    private func convert(
        _ table: Table,
        to description: TableDescription,
        _ sources: [Int?]
    ) throws(SQLiteError) -> [RowIdentity: Row] {
        let missing = try AddedColumns.missingValues(of: description)
        let scratch = try Connection(path: ":memory:", mode: .readWriteCreate)
        try scratch.execute("PRAGMA encoding = '\(encoding)'; PRAGMA ignore_check_constraints = ON")
        // A row that the transaction deletes may have NULL where a table of the same name is NOT NULL.
        try scratch.execute(description.sql.replacing(" NOT NULL", with: ""))
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
            // Some values that no INSERT would store stay unchanged.
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
        if changes.rowsOmitted || changes.detail != .values || table.isUnknown {
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
