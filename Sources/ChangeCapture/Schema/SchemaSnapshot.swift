/// What the main schema of a database holds at one moment.
///
/// A pure value: ``load(from:reusing:)`` makes it, ``SchemaDiff`` compares two. Tables that SQLite keeps for itself
/// (`sqlite_sequence`, `sqlite_stat1` …) are left out; temporary and attached schemas are never looked at.
package struct SchemaSnapshot: Sendable {
    /// A table, view or virtual table.
    package struct Table: Sendable, Hashable {
        package var description: TableDescription
        /// How the rows are stored; without any field for views and virtual tables.
        package var fields: RecordFields
        /// The rowid in `sqlite_schema`, which `ALTER TABLE` keeps.
        package var schemaRowid: Int64
        /// The root page of the table's b-tree; 0 for views and virtual tables.
        package var rootPage: Int64
        /// The virtual table whose content this table is part of.
        package var shadowOwner: SQLName?
        /// The table's indexes and triggers in the order in which they were created; automatic indexes belong to the
        /// table's own definition.
        package var objects: [Object]

        package var name: SQLName { SQLName(description.name) }
        package var isShadow: Bool { shadowOwner != nil }
    }

    package struct Object: Sendable, Hashable {
        package var kind: SchemaChange.ObjectChange.Kind
        package var name: SQLName
        package var sql: SQLName
    }

    /// `PRAGMA schema_version` at that moment.
    package var version: Int64
    package var tables: [SQLName: Table]

    package init(version: Int64 = -1, tables: [SQLName: Table] = [:]) {
        self.version = version
        self.tables = tables
    }

    package subscript(name: String) -> Table? { tables[SQLName(name)] }

    /// The tables that clients hear of, in the order in which they were created.
    package var visibleTables: [Table] {
        tables.values.filter { !$0.isShadow }.sorted { $0.schemaRowid < $1.schemaRowid }
    }
}

/// Which table after a change of the schema is which table before it.
///
/// Names alone cannot tell: a table can be renamed, and another one can take its name.
package struct SchemaIdentities: Sendable, Hashable {
    /// For each table after the change that was there before: its name before.
    package private(set) var previousNames: [SQLName: SQLName]
    /// For each table of ``previousNames`` whose columns changed: where each column comes from, nil for a new one.
    package private(set) var columnSources: [SQLName: [Int?]]

    /// Every table is still the same.
    package init(unchanged snapshot: SchemaSnapshot) {
        previousNames = Dictionary(uniqueKeysWithValues: snapshot.tables.keys.map { ($0, $0) })
        columnSources = [:]
    }

    /// What one statement did: it can create, drop, rename or alter, and not two of them to one name.
    ///
    /// With `inStatement` false, what a whole transaction did, of which only the outcome is known; ``RenameEvidence`` tells which
    /// tables were renamed. Two tables can have swapped names. Else a table under its old name is the same one unless its rows
    /// have another kind of key.
    ///
    /// - Parameter keepsContent: what the rows tell, of a whole transaction; nothing where it is left out.
    package init(
        from before: SchemaSnapshot,
        to after: SchemaSnapshot,
        inStatement: Bool = false,
        keepsContent: @escaping RenameEvidence.ContentCheck = { _, _ in false }
    ) {
        previousNames = [:]
        columnSources = [:]
        let bySchemaRowid = Dictionary(before.tables.values.map { ($0.schemaRowid, $0) }) { first, _ in first }
        var renamed: [SQLName: SchemaSnapshot.Table] = [:]
        var evidence = RenameEvidence(from: before, to: after, keepsContent: keepsContent)
        for (name, table) in after.tables {
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
        for (name, table) in after.tables {
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

    /// What both changes did, one after the other.
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
    /// Whether rows are known by the same columns, however those are called now, or all by their rowids, and no STORED
    /// generated column is new. No `ALTER TABLE` changes the one or adds the other; tables that are made anew can have it
    /// otherwise, and then no row of one is a row of the other.
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

/// Finds out what `ALTER TABLE` did to the columns of a table.
package enum ColumnSources {
    /// For each column after: its position before, nil for a new one. Nil when all columns kept name and position.
    ///
    /// One `ALTER TABLE` adds a column at the end, drops one, or renames one in its place. Several of them that are seen as
    /// one can look like something else: names decide first, which SQLite compares without regard to the case of ASCII
    /// letters; but a VIRTUAL column keeps no values that another one could have. A column whose name is new is then taken for an old one whose name is gone, if that stood between the same
    /// neighbours and has the same definition. Where that is a mistake, the rows are told as they are under it.
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
        // Tables that were made anew can have their columns in any order.
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
