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
    /// With `inStatement` false, what a whole transaction did, of which only the outcome is known. A table that has the entry
    /// and the root page of another name, and its columns, was renamed: two tables can have swapped names. Else a table under
    /// its old name is the same one unless its rows have another kind of key.
    package init(from before: SchemaSnapshot, to after: SchemaSnapshot, inStatement: Bool = false) {
        previousNames = [:]
        columnSources = [:]
        let bySchemaRowid = Dictionary(before.tables.values.map { ($0.schemaRowid, $0) }) { first, _ in first }
        var renamed: [SQLName: SchemaSnapshot.Table] = [:]
        for (name, table) in after.tables {
            guard let previous = bySchemaRowid[table.schemaRowid], previous.name != name,
                previous.description.kind == table.description.kind,
                inStatement || previous.isPlausiblyRenamed(to: table)
            else { continue }
            let same = before.tables[name]
            if same != nil || after.tables[previous.name] != nil {
                // VACUUM renumbers entries and roots, and renames nothing.
                guard !inStatement, table.description.kind == .table,
                    same?.description.sql.isIdentical(to: table.description.sql) != true
                else { continue }
            }
            renamed[name] = previous
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

extension SchemaSnapshot.Table {
    /// `ALTER TABLE … RENAME` rewrites the name in the SQL and nothing else of the table.
    fileprivate func isPlausiblyRenamed(to other: SchemaSnapshot.Table) -> Bool {
        guard description.kind != .table || rootPage == other.rootPage else { return false }
        if description.kind == .table {
            // Columns can have been added as well.
            return description.hasSameKey(as: other.description)
                && description.columns == Array(other.description.columns.prefix(description.columns.count))
        }
        return description.columns.count == other.description.columns.count
    }
}

extension TableDescription {
    /// Whether rows are known by the same columns, however those are called now, or all by their rowids, and no STORED
    /// generated column is new. No `ALTER TABLE` changes the one or adds the other; tables that are made anew can have it
    /// otherwise, and then no row of one is a row of the other.
    fileprivate func hasSameKey(as other: TableDescription) -> Bool {
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
