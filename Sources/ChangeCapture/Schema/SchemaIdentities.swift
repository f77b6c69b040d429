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
