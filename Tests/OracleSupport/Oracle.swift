package import ChangeCapture
package import SQLiteConnection

/// Runs a script with capture, and checks after every commit that what was captured, what a replica made of it and what the
/// database really holds agree, on every table and row.
package final class Oracle {
    package struct Figures: Sendable {
        package var statements = 0
        package var failedStatements = 0
        package var commits = 0
        package var rowChanges = 0
        package var schemaChanges = 0

        package init() {}

        package mutating func add(_ other: Figures) {
            statements += other.statements
            failedStatements += other.failedStatements
            commits += other.commits
            rowChanges += other.rowChanges
            schemaChanges += other.schemaChanges
        }
    }

    package private(set) var figures = Figures()

    private let writer: CapturedWriter
    private let truth: Truth
    private var replica = Replica()
    private let level: CaptureLevel
    /// The limits are reached.
    private let isTight: Bool

    package init(path: String, level: CaptureLevel, limits: CaptureLimits = CaptureLimits(), setUp: String)
        throws(SQLiteError)
    {
        self.level = level
        isTight = limits != CaptureLimits()
        writer = try CapturedWriter(path: path, level: level, limits: limits, setUp: setUp, isolatesStatements: true)
        truth = try Truth(path: path)
        try truth.read()
    }

    package var isInTransaction: Bool { !writer.connection.isInAutocommit }

    /// The schema as the writer's connection sees it within its transaction.
    package func currentSchema(reusing known: SchemaSnapshot) throws(SQLiteError) -> SchemaSnapshot {
        try SchemaSnapshot.load(from: writer.connection, reusing: known)
    }

    /// Runs one statement and checks what came of it.
    package func run(_ step: ScriptStep) throws {
        figures.statements += 1
        let commits = writer.run(step)
        if !writer.errors.isEmpty { figures.failedStatements += 1 }
        guard !commits.isEmpty else { return }
        figures.commits += commits.count
        let before = (truth.tables, truth.schema, truth.objects)
        try truth.read()
        for changes in commits {
            for event in changes.events {
                switch event {
                case .schema: figures.schemaChanges += 1
                case .rows(let rows): figures.rowChanges += rows.inserted + rows.updated + rows.deleted
                }
            }
        }
        try check(commits, before.0, before.1)
    }

    private func check(
        _ commits: [ChangeSet],
        _ before: [SQLName: Truth.Table],
        _ schemaBefore: SchemaSnapshot
    ) throws {
        for changes in commits { try replica.apply(changes) }
        guard commits.count == 1, let changes = commits.first else {
            throw Replica.Mismatch("one statement made \(commits.count) commits")
        }
        try checkSchema()
        var told: Set<SQLName> = []
        for case .rows(let rows) in changes.events {
            let name = SQLName(rows.table.name)
            guard told.insert(name).inserted else { throw Replica.Mismatch("\(name.string) is told twice") }
            try checkCounts(rows, changes, before[name]?.rows ?? [:], schemaBefore)
        }
        for (name, table) in truth.tables {
            guard let copy = replica.tables[name] else { continue }
            if copy.isUnknown {
                replica.reload(name, table.rows)
            } else if copy.rows != table.rows {
                throw Replica.Mismatch(
                    "\(name.string): the replica has \(copy.rows.mapValues(\.values)), the database \(table.rows.mapValues(\.values))"
                )
            }
        }
    }

    private func checkSchema() throws {
        var objects: [SQLName: SQLName] = [:]
        for (name, table) in replica.tables {
            objects[name] = SQLName(table.description.sql)
            objects.merge(table.objects) { first, _ in first }
        }
        guard objects == truth.objects else {
            throw Replica.Mismatch("the replica's schema is \(objects), the database's \(truth.objects)")
        }
        for (name, table) in replica.tables where table.description.kind == .table {
            guard table.description == truth.schema.tables[name]?.description else {
                throw Replica.Mismatch("\(name.string) is described as \(table.description)")
            }
        }
    }

    /// Against the difference between the contents before and after. Only a table whose name and columns stayed can be
    /// compared by itself.
    private func checkCounts(
        _ rows: TableRows,
        _ changes: ChangeSet,
        _ before: [RowIdentity: Row],
        _ schemaBefore: SchemaSnapshot
    ) throws {
        let name = SQLName(rows.table.name)
        guard rows.countsAreKnown, schemaBefore.tables[name]?.description == rows.table else { return }
        for case .schema(.dropped(let table)) in changes.events where SQLName(table.name) == name { return }
        let after = truth.tables[name]?.rows ?? [:]
        let inserted = after.keys.count { before[$0] == nil }
        let deleted = before.keys.count { after[$0] == nil }
        let updated = after.count { entry in before[entry.key].map { $0 != entry.value } ?? false }
        // Netted by sets of keys alone, a row that changed and came back to what it was counts as updated.
        let isNetted = isTight && rows.detail == .counts
        let fits = isNetted ? rows.updated >= updated : rows.updated == updated
        guard fits, (inserted, deleted) == (rows.inserted, rows.deleted) else {
            throw Replica.Mismatch(
                "\(name.string): told +\(rows.inserted) ~\(rows.updated) -\(rows.deleted), really +\(inserted) ~\(updated) -\(deleted)"
            )
        }
        guard rows.detail == .keys else { return }
        for change in rows.rows {
            try checkKeys(change, rows.table, before, after)
        }
    }

    private func checkKeys(
        _ change: RowChange,
        _ table: TableDescription,
        _ before: [RowIdentity: Row],
        _ after: [RowIdentity: Row]
    ) throws {
        let identity: RowIdentity? =
            table.hasRowid ? change.rowid.map(RowIdentity.rowid) : (change.before ?? change.after).map(RowIdentity.key)
        guard let identity else { throw Replica.Mismatch("\(table.name): a row without identity") }
        let (old, new) = (before[identity], after[identity])
        let key = table.rowidAlias == nil && !table.primaryKey.isEmpty ? table.primaryKey : nil
        let fits =
            switch change.operation {
            case .insert: old == nil && new != nil
            case .delete: old != nil && new == nil
            case .update: old != nil && new != nil && old != new
            }
        guard fits, change.before == key.flatMap({ old?.selecting($0) }),
            change.after == key.flatMap({ new?.selecting($0) })
        else {
            throw Replica.Mismatch(
                "\(table.name) \(change.operation) \(identity): \(change.before?.values as Any) \(change.after?.values as Any), really \(old?.values as Any) \(new?.values as Any)"
            )
        }
    }
}
