/// The main schema of a database as of one commit.
///
/// A pure value: ``load(from:reusing:)`` makes it, ``SchemaDiff`` compares two of them. SQLite's internal tables
/// (`sqlite_sequence`, `sqlite_stat1` …) are left out; temporary and attached schemas are ignored.
package struct SchemaSnapshot: Sendable {
    /// A table, view or virtual table. Snapshots that follow each other share the tables that did not change.
    package final class Table: Sendable {
        package let description: TableDescription
        /// How the rows are stored; no fields for views and virtual tables.
        package let fields: RecordFields
        /// The rowid in `sqlite_schema`, which `ALTER TABLE` keeps.
        package let schemaRowid: Int64
        /// The root page of the table's b-tree; 0 for views and virtual tables.
        package let rootPage: Int64
        /// The virtual table that owns this shadow table.
        package let shadowOwner: SQLName?
        /// The table's indexes and triggers in the order in which they were created; automatic indexes belong to the
        /// table's own definition.
        package let objects: [Object]

        package init(
            description: TableDescription,
            fields: RecordFields,
            schemaRowid: Int64,
            rootPage: Int64,
            shadowOwner: SQLName?,
            objects: [Object]
        ) {
            self.description = description
            self.fields = fields
            self.schemaRowid = schemaRowid
            self.rootPage = rootPage
            self.shadowOwner = shadowOwner
            self.objects = objects
        }

        /// The same table with another root, other objects or another owner.
        func with(rootPage: Int64, objects: [Object], shadowOwner: SQLName?) -> Table {
            Table(
                description: description,
                fields: fields,
                schemaRowid: schemaRowid,
                rootPage: rootPage,
                shadowOwner: shadowOwner,
                objects: objects
            )
        }

        package var name: SQLName { SQLName(description.name) }
        package var isShadow: Bool { shadowOwner != nil }
    }

    package struct Object: Sendable, Hashable {
        package var kind: SchemaChange.ObjectChange.Kind
        package var name: SQLName
        package var sql: SQLName
    }

    /// The `PRAGMA schema_version` of the snapshot.
    package internal(set) var version: Int64
    package internal(set) var tables: [SQLName: Table]
    /// The rows of `sqlite_schema` from which it was made, in the order of their rowids.
    var entries: [SchemaEntry] = []

    package init(version: Int64 = -1, tables: [SQLName: Table] = [:]) {
        self.version = version
        self.tables = tables
    }

    package subscript(name: String) -> Table? { tables[SQLName(name)] }

    /// The tables that clients can see, in the order in which they were created.
    package var visibleTables: [Table] {
        tables.values.filter { !$0.isShadow }.sorted { $0.schemaRowid < $1.schemaRowid }
    }

    /// The tables that are not the same object in the other snapshot: of two that follow each other those that differ, of
    /// others all.
    func tables(differingFrom other: SchemaSnapshot) -> [Table] {
        tables.compactMap { name, table in other.tables[name] === table ? nil : table }
    }
}

/// Pairs the tables after a schema change with those before it.
///
/// Names alone are not enough: a table can be renamed, and another one can take its name.
package struct SchemaIdentities: Sendable, Hashable {
    /// For each table after the change that existed before: its name before.
    package private(set) var previousNames: [SQLName: SQLName]
    /// For each table of ``previousNames`` whose columns changed: the source of each column, nil for a new one.
    package private(set) var columnSources: [SQLName: [Int?]]

    /// For an unchanged schema.
    package init(unchanged snapshot: SchemaSnapshot) {
        previousNames = Dictionary(uniqueKeysWithValues: snapshot.tables.keys.map { ($0, $0) })
        columnSources = [:]
    }

    /// For the effect of one statement, which can create, drop, rename or alter, and cannot do two of these to the same
    /// name.
    ///
    /// With `inStatement` false, for the effect of a whole transaction, of which only the outcome is known; ``RenameEvidence``
    /// decides which tables were renamed, since two tables can have swapped names. Otherwise a table with the same name is the
    /// same table unless its rows have another kind of key.
    ///
    /// - Parameter keepsContent: what the rows tell, of a whole transaction; nothing where it is left out.
    package init(
        from before: SchemaSnapshot,
        to after: SchemaSnapshot,
        inStatement: Bool = false,
        keepsContent: @escaping RenameEvidence.ContentCheck = { _, _, _ in false }
    ) {
        // A table that is the same object in both is the same table: no other one has its entry.
        previousNames = Dictionary(minimumCapacity: after.tables.count)
        columnSources = [:]
        var changed: [SchemaSnapshot.Table] = []
        for (name, table) in after.tables {
            if before.tables[name] === table { previousNames[name] = name } else { changed.append(table) }
        }
        if changed.isEmpty { return }
        let bySchemaRowid = Dictionary(before.tables(differingFrom: after).map { ($0.schemaRowid, $0) }) { first, _ in
            first
        }
        var renamed: [SQLName: SchemaSnapshot.Table] = [:]
        var evidence = RenameEvidence(from: before, to: after, keepsContent: keepsContent)
        for table in changed {
            let name = table.name
            guard let previous = bySchemaRowid[table.schemaRowid], previous.name != name,
                previous.description.kind == table.description.kind
            else { continue }
            let isRenamed =
                inStatement
                ? before.tables[name] == nil && after.tables[previous.name] == nil
                : evidence.isRenamed(previous, to: table)
            if isRenamed { renamed[name] = previous }
        }
        let taken = Set(renamed.values.map(\.name))
        for table in changed {
            let name = table.name
            let previous: SchemaSnapshot.Table
            if let renamed = renamed[name] {
                previous = renamed
            } else if let same = before.tables[name], !taken.contains(name),
                same.description.kind == table.description.kind,
                inStatement || same.description.hasSameKey(as: table.description)
            {
                previous = same
            } else {
                continue
            }
            previousNames[name] = previous.name
            columnSources[name] = ColumnSources.infer(
                from: previous.description.columns,
                to: table.description.columns
            )
        }
    }

    /// The combination of two consecutive changes.
    package func followed(by next: SchemaIdentities) -> SchemaIdentities {
        var result = next
        result.previousNames = [:]
        result.columnSources = [:]
        for (name, middle) in next.previousNames {
            guard let first = previousNames[middle] else { continue }
            result.previousNames[name] = first
            switch (columnSources[middle], next.columnSources[name]) {
            case (nil, let sources), (let sources, nil): result.columnSources[name] = sources
            case (let earlier?, let later?):
                result.columnSources[name] = later.map { source in source.flatMap { earlier[$0] } }
            }
        }
        return result
    }
}

extension TableDescription {
    /// Whether rows are identified by the same columns, under whatever names, or all by their rowids, and no STORED
    /// generated column is new. No `ALTER TABLE` changes the former or adds the latter; recreated tables can differ in
    /// this, and then no row of one is a row of the other.
    func hasSameKey(as other: TableDescription) -> Bool {
        guard kind == .table, other.kind == .table else { return true }
        guard hasRowid == other.hasRowid, (rowidAlias == nil) == (other.rowidAlias == nil) else { return false }
        guard let sources = ColumnSources.infer(from: columns, to: other.columns) else {
            return primaryKey == other.primaryKey
        }
        return primaryKey == other.primaryKey.map { sources[$0] }
            && other.columns.indices.allSatisfy {
                sources[$0] != nil || other.columns[$0].visibility != .generatedStored
            }
    }
}

/// Determines what `ALTER TABLE` did to the columns of a table.
package enum ColumnSources {
    /// For each column after the change: its position before, nil for a new one. Nil when all columns kept their name
    /// and position.
    ///
    /// One `ALTER TABLE` adds a column at the end, drops one, or renames one in its place. Several of them that are seen as
    /// one change can be ambiguous: names decide first, compared like in SQLite without regard to the case of ASCII
    /// letters, but a VIRTUAL column has no values that another column could keep. A column with a new name is then paired
    /// with an old one whose name is gone, if both have the same neighbours and the same definition. If that is wrong, the
    /// rows are still reported consistently with it.
    package static func infer(from before: [ColumnDescription], to after: [ColumnDescription]) -> [Int?]? {
        if before.elementsEqual(after, by: { $0.name.isIdentical(to: $1.name) && $0.isVirtual == $1.isVirtual }) {
            return nil
        }
        var positions: [SQLName: Int] = [:]
        for (position, column) in before.enumerated() { positions[SQLName(column.name).caseFolded] = position }
        var sources = after.map { column in
            positions[SQLName(column.name).caseFolded].flatMap { before[$0].isVirtual == column.isVirtual ? $0 : nil }
        }
        let kept = sources.compactMap(\.self)
        // Recreated tables can have their columns in any order.
        guard zip(kept, kept.dropFirst()).allSatisfy({ $0 < $1 }) else { return sources }
        var next = 0
        for position in sources.indices {
            if let source = sources[position] {
                next = source + 1
                continue
            }
            let end = sources[position...].lazy.compactMap(\.self).first ?? before.count
            guard let source = (next..<end).first(where: { before[$0].hasSameDefinition(as: after[position]) }) else {
                continue
            }
            sources[position] = source
            next = source + 1
        }
        return sources
    }
}

extension ColumnDescription {
    fileprivate var isVirtual: Bool { visibility == .generatedVirtual }
}
