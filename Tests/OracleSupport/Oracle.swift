package import ChangeCapture
package import SQLiteConnection

/// Runs a script with capture, and checks after every commit that the captured changes, the replica built from them and
/// the database agree, on every table and row.
///
/// Commits are captured in three ways, each with a replica of its own: by the hooks of the writer's connection, from the
/// log commit by commit, and from pages that differ, several commits as one.
package final class Oracle {
    package struct Figures: Sendable {
        package var statements = 0
        package var failedStatements = 0
        package var commits = 0
        package var mergedCommits = 0
        package var rowChanges = 0
        package var schemaChanges = 0
        /// Commits of each class that were checked.
        package var classes: [CaseClass: Int] = [:]

        package init() {}

        package mutating func add(_ other: Figures) {
            statements += other.statements
            failedStatements += other.failedStatements
            commits += other.commits
            mergedCommits += other.mergedCommits
            rowChanges += other.rowChanges
            schemaChanges += other.schemaChanges
            classes.merge(other.classes, uniquingKeysWith: +)
        }
    }

    package private(set) var figures = Figures()

    /// Nil for a writer of another process.
    private let captured: CapturedWriter?
    private let connection: Connection
    private let file: FileFollower
    private let truth: Truth
    private var hookReplica = Replica()
    private var logReplica = Replica()
    private var pageReplica = Replica()
    private let level: CaptureLevel
    /// The limits are reached.
    private let isTight: Bool
    /// What ran since the last commit.
    private var statements: [String] = []
    private var commitsToMerge = 1

    /// - Parameter isForeign: the writer has no hooks, and may do what the service refuses.
    package init(
        path: String,
        level: CaptureLevel,
        limits: CaptureLimits = CaptureLimits(),
        setUp: String,
        isForeign: Bool = false
    ) throws {
        self.level = level
        isTight = limits != CaptureLimits()
        if isForeign {
            captured = nil
            connection = try Connection(path: path, mode: .readWriteCreate)
            try connection.execute(setUp)
        } else {
            let writer = try CapturedWriter(
                path: path,
                level: level,
                limits: limits,
                setUp: setUp,
                isolatesStatements: true
            )
            captured = writer
            connection = writer.connection
        }
        file = try FileFollower(path: path)
        truth = try Truth(path: path)
        try truth.read()
        if case .text(let encoding)? = try connection.query("PRAGMA encoding").first?.first {
            (hookReplica.encoding, logReplica.encoding, pageReplica.encoding) = (encoding, encoding, encoding)
        }
    }

    package var isInTransaction: Bool { !connection.isInAutocommit }

    /// The schema as the writer's connection sees it within its transaction.
    package func currentSchema(reusing known: SchemaSnapshot) throws(SQLiteError) -> SchemaSnapshot {
        try SchemaSnapshot.load(from: connection, reusing: known)
    }

    /// Runs one statement and checks its effect.
    package func run(_ step: ScriptStep) throws {
        figures.statements += 1
        statements.append(step.sql)
        let hooked = captured?.run(step) ?? []
        if captured?.errors.isEmpty == false { figures.failedStatements += 1 }
        if captured == nil, step.blobWrite == nil {
            do { try connection.execute(step.sql) } catch { figures.failedStatements += 1 }
        }
        let logged = try file.commits()
        if logged.isEmpty, hooked.isEmpty {
            if !isInTransaction { statements = [] }
            return
        }
        guard logged.count <= 1, hooked.count <= 1 else {
            throw Replica.Mismatch("one statement made \(logged.count) commits, \(hooked.count) by the hooks")
        }
        figures.commits += 1
        let before = (truth.tables, truth.schema)
        // The edit can be a commit of its own, apart from the pragma that allows it.
        if statements.contains(where: { $0.contains("_schema") }) { try truth.reopen() }
        try truth.read()
        if let changes = hooked.first {
            try check("hooks", changes, &hookReplica, before.0, before.1, level, isTight: isTight)
        }
        if let changes = logged.first { try checkLogged(changes, before.0, before.1) }
        commitsToMerge -= 1
        if commitsToMerge <= 0 {
            figures.mergedCommits += 1
            commitsToMerge = 1 + figures.mergedCommits % 4
            let changes = try file.difference()
            try check("pages", changes, &pageReplica, nil, before.1, .values, isTight: false)
        }
        statements = []
    }

    private func checkLogged(
        _ changes: ChangeSet,
        _ before: [SQLName: Truth.Table],
        _ schemaBefore: SchemaSnapshot
    ) throws {
        for event in changes.events {
            switch event {
            case .schema: figures.schemaChanges += 1
            case .rows(let rows): figures.rowChanges += rows.inserted + rows.updated + rows.deleted
            }
        }
        if !statements.contains(where: Self.mayDropTables) {
            for case .schema(.dropped(let table)) in changes.events {
                // Where no row shows it, nothing distinguishes the table from another one in its place.
                guard !hasMoved(table, before[SQLName(table.name)]?.rows ?? [:], changes) else {
                    throw Replica.Mismatch("\(table.name) is dropped, and no statement did it")
                }
            }
        }
        for found in CaseClass.classes(of: changes, statements: statements, schema: truth.schema) {
            figures.classes[found, default: 0] += 1
        }
        try check("log", changes, &logReplica, before, schemaBefore, .values, isTight: false)
    }

    /// Whether a row of the table is also in one that the changes call new: with all values, or with those of the columns that
    /// have the same name.
    private func hasMoved(_ table: TableDescription, _ rows: [RowIdentity: Row], _ changes: ChangeSet) -> Bool {
        for case .schema(.created(let new)) in changes.events {
            let after = truth.tables[SQLName(new.name)]?.rows ?? [:]
            let sources = new.columns.map { column in table.columns.firstIndex { $0.name.isIdentical(to: column.name) }
            }
            for (identity, row) in rows {
                guard let moved = after[identity] else { continue }
                if moved == row { return true }
                let pairs = zip(sources, moved.values).compactMap { source, value in
                    source.map { (row.values[$0], value) }
                }
                if pairs.contains(where: { $0.0 != .null }), pairs.allSatisfy({ $0.0 == $0.1 }) { return true }
            }
        }
        return false
    }

    /// - Parameter before: the tables before the commit; nil when the changes belong to several.
    private func check(
        _ source: String,
        _ changes: ChangeSet,
        _ replica: inout Replica,
        _ before: [SQLName: Truth.Table]?,
        _ schemaBefore: SchemaSnapshot,
        _ level: CaptureLevel,
        isTight: Bool
    ) throws {
        do {
            try replica.apply(changes)
            try checkSchema(replica)
            var told: Set<SQLName> = []
            for case .rows(let rows) in changes.events {
                let name = SQLName(rows.table.name)
                guard told.insert(name).inserted else { throw Replica.Mismatch("\(name.string) is told twice") }
                if let columns = rows.columnsOmitted.first { throw Replica.Mismatch("\(columns) is omitted") }
                if let before, truth.tables[name]?.isAnonymous != true {
                    try checkCounts(rows, changes, before[name]?.rows ?? [:], schemaBefore, level, isTight)
                }
            }
            try checkRows(&replica)
        } catch let error as Replica.Mismatch {
            throw Replica.Mismatch("\(source): \(error)")
        }
    }

    private static func mayDropTables(_ statement: String) -> Bool {
        ["DROP", "PRAGMA", "ROLLBACK"].contains { statement.hasPrefix($0) }
    }

    private func checkRows(_ replica: inout Replica) throws {
        for (name, table) in truth.tables {
            guard let copy = replica.tables[name] else { continue }
            let isSame =
                table.isAnonymous
                ? Truth.Table.counts(copy.rows) == Truth.Table.counts(table.rows) : copy.rows == table.rows
            if copy.isUnknown {
                // Rows that cannot be distinguished stay ambiguous.
                if !table.isAnonymous { replica.reload(name, table.rows) }
            } else if !isSame {
                throw Replica.Mismatch(
                    "\(name.string): the replica has \(copy.rows.mapValues(\.values)), the database \(table.rows.mapValues(\.values))"
                )
            }
        }
    }

    private func checkSchema(_ replica: Replica) throws {
        var objects: [SQLName: SQLName] = [:]
        for (name, table) in replica.tables {
            objects[name] = SQLName(table.description.sql)
            objects.merge(table.objects) { first, _ in first }
        }
        guard objects == truth.objects else {
            throw Replica.Mismatch("the replica's schema is \(objects), the database's \(truth.objects)")
        }
        for (name, table) in replica.tables {
            guard table.description == truth.schema.tables[name]?.description else {
                throw Replica.Mismatch("\(name.string) is described as \(table.description)")
            }
        }
    }

    /// Compares with the difference between the contents before and after. Only a table that kept its name and columns
    /// can be compared separately.
    private func checkCounts(
        _ rows: TableRows,
        _ changes: ChangeSet,
        _ before: [RowIdentity: Row],
        _ schemaBefore: SchemaSnapshot,
        _ level: CaptureLevel,
        _ isTight: Bool
    ) throws {
        let name = SQLName(rows.table.name)
        guard rows.countsAreKnown, schemaBefore.tables[name]?.description == rows.table else { return }
        for case .schema(let change) in changes.events {
            switch change {
            case .dropped(let table) where SQLName(table.name) == name: return
            case .modified(let change) where change.previousName != nil && SQLName(change.table.name) == name: return
            default: break
            }
        }
        let after = truth.tables[name]?.rows ?? [:]
        let inserted = after.keys.count { before[$0] == nil }
        let deleted = before.keys.count { after[$0] == nil }
        let updated = after.count { entry in before[entry.key].map { $0 != entry.value } ?? false }
        // When changes are coalesced only by sets of keys, a row that changed and returned to its old value counts as
        // updated.
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
