/// Compares two schemas. Pure: it ignores which statements ran, so `IF NOT EXISTS` on an existing object, a rolled back
/// `CREATE`, `ANALYZE`, `REINDEX` and `VACUUM` are no change.
package enum SchemaDiff {
    /// The changes in an order in which a replica can apply them: drops; renames, which are simultaneous, so that two
    /// tables can swap names; other modifications; creations.
    ///
    /// An index or trigger whose name belonged to another table is added in a modification of its own, after that table
    /// has lost it.
    ///
    /// - Parameters:
    ///   - before: the schema at the beginning.
    ///   - after: the schema at the end.
    ///   - identities: pairs the tables of both schemas.
    package static func changes(
        from before: SchemaSnapshot,
        to after: SchemaSnapshot,
        identities: SchemaIdentities
    ) -> [SchemaChange] {
        var survivors: Set<SQLName> = []
        var created: [SchemaChange] = []
        var modified: [Alteration] = []
        // The tables that both schemas share are unchanged.
        for table in visible(after.tables(differingFrom: before)) {
            guard let previousName = identities.previousNames[table.name], let previous = before.tables[previousName],
                !previous.isShadow
            else {
                created.append(.created(table.description))
                created.append(contentsOf: objectsOfNewTable(table))
                continue
            }
            survivors.insert(previousName)
            if let change = modification(of: previous, to: table, identities) { modified.append(change) }
        }
        // The newest first: a view is dropped before the tables that it reads.
        let dropped = visible(before.tables(differingFrom: after)).reversed()
            .filter { !survivors.contains($0.name) }
            .map { SchemaChange.dropped($0.description) }
        return dropped + inOrderOfApplication(modified).map(SchemaChange.modified) + created
    }

    /// The tables that clients can see, in the order in which they were created.
    private static func visible(_ tables: [SchemaSnapshot.Table]) -> [SchemaSnapshot.Table] {
        tables.filter { !$0.isShadow }.sorted { $0.schemaRowid < $1.schemaRowid }
    }

    private struct Alteration {
        var modification: SchemaChange.Modification
        /// Whether only the table's objects changed.
        var isOfObjectsAlone: Bool
    }

    private static func modification(
        of before: SchemaSnapshot.Table,
        to after: SchemaSnapshot.Table,
        _ identities: SchemaIdentities
    ) -> Alteration? {
        let isRenamed = before.name != after.name
        let objects = objectChanges(from: before.objects, to: after.objects)
        let isSameSQL = before.description.sql.isIdentical(to: after.description.sql)
        // A column that was dropped and added again can leave the SQL unchanged although all its values are gone.
        let hasMovedColumns = identities.columnSources[after.name].map { $0 != Array(0..<$0.count) } ?? false
        // The columns of a view or virtual table can follow those of another table.
        let hasOtherColumns = hasMovedColumns || before.description.columns != after.description.columns
        guard isRenamed || !isSameSQL || !objects.isEmpty || hasOtherColumns else { return nil }
        return Alteration(
            modification: SchemaChange.Modification(
                table: after.description,
                previousName: isRenamed ? before.description.name : nil,
                columnSources: identities.columnSources[after.name],
                isRedefined: isRenamed || !isSameSQL || hasOtherColumns,
                objects: objects
            ),
            isOfObjectsAlone: !isRenamed && isSameSQL && !hasOtherColumns
        )
    }

    /// The indexes and triggers of a new table are reported after the table.
    private static func objectsOfNewTable(_ table: SchemaSnapshot.Table) -> [SchemaChange] {
        let objects = objectChanges(from: [], to: table.objects)
        return objects.isEmpty ? [] : [.modified(.init(table: table.description, objects: objects))]
    }

    private static func objectChanges(
        from before: [SchemaSnapshot.Object],
        to after: [SchemaSnapshot.Object]
    ) -> [SchemaChange.ObjectChange] {
        func change(
            _ action: SchemaChange.ObjectChange.Action,
            _ object: SchemaSnapshot.Object
        ) -> SchemaChange.ObjectChange {
            .init(action: action, kind: object.kind, name: object.name.string, sql: object.sql.string)
        }
        var changes: [SchemaChange.ObjectChange] = []
        let new = Dictionary(after.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        let old = Dictionary(before.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        for object in before where new[object.name]?.kind != object.kind {
            changes.append(change(.removed, object))
        }
        for object in after {
            guard let previous = old[object.name], previous.kind == object.kind else {
                changes.append(change(.added, object))
                continue
            }
            if previous.sql != object.sql { changes.append(change(.changed, object)) }
        }
        return changes
    }

    /// Renames first, then other modifications, then objects whose names the preceding changes have freed.
    private static func inOrderOfApplication(_ alterations: [Alteration]) -> [SchemaChange.Modification] {
        /// The table that had each removed object, by the object's name.
        var freed: [SQLName: SQLName] = [:]
        for modification in alterations.lazy.map(\.modification) {
            for object in modification.objects where object.action == .removed {
                freed[SQLName(object.name)] = SQLName(modification.table.name)
            }
        }
        var renames: [SchemaChange.Modification] = []
        var others: [SchemaChange.Modification] = []
        var late: [SchemaChange.Modification] = []
        for alteration in alterations {
            var modification = alteration.modification
            let table = SQLName(modification.table.name)
            let moved = modification.objects.filter { object in
                object.action == .added && freed[SQLName(object.name)].map { $0 != table } == true
            }
            if !moved.isEmpty {
                modification.objects.removeAll(where: moved.contains)
                late.append(SchemaChange.Modification(table: modification.table, objects: moved))
                if alteration.isOfObjectsAlone, modification.objects.isEmpty { continue }
            }
            if modification.previousName != nil { renames.append(modification) } else { others.append(modification) }
        }
        return renames + others + late
    }
}
