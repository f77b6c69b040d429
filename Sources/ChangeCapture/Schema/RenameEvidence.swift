/// Tells a table that was renamed within a transaction, and altered maybe, from one that was dropped while another one was
/// created in its place.
///
/// `ALTER TABLE` keeps the entry in `sqlite_schema` with its rowid. That of a dropped table goes to the next new one only
/// where it was the last one.
package struct RenameEvidence {
    /// Whether the table that had its root on the first page before the transaction has it on the second one after it, by its
    /// rows. False where they tell nothing.
    package typealias ContentCheck = (_ oldRoot: Int64, _ newRoot: Int64) -> Bool

    private let before: SchemaSnapshot
    private let after: SchemaSnapshot
    private let keepsContent: ContentCheck
    /// Entries before this one are still those of the same tables; nil until it is needed.
    private var firstUncertainRowid: Int64?

    /// As many tables are looked at for one that has kept its entry and its rows.
    private static let maxTablesToCheck = 16

    init(from before: SchemaSnapshot, to after: SchemaSnapshot, keepsContent: @escaping ContentCheck) {
        self.before = before
        self.after = after
        self.keepsContent = keepsContent
    }

    /// - Parameters:
    ///   - previous: a table before the transaction.
    ///   - table: one of the same kind and another name after it, which has the same entry.
    mutating func isRenamed(_ previous: SchemaSnapshot.Table, to table: SchemaSnapshot.Table) -> Bool {
        let same = before.tables[table.name]
        // VACUUM renumbers entries and roots, and renames nothing.
        if same?.description.sql.isIdentical(to: table.description.sql) == true { return false }
        switch table.description.kind {
        case .view: return false
        case .virtual: return previous.description.columns.count == table.description.columns.count
        case .table: break
        }
        guard previous.description.hasSameKey(as: table.description) else { return false }
        let isKept = keepsContent(previous.rootPage, table.rootPage)
        if let same, !isKept, keepsContent(same.rootPage, table.rootPage) { return false }
        return isKept || isOfCertainEntry(table)
            || (previous.rootPage == table.rootPage && previous.description.isPlausiblyAltered(to: table.description))
    }

    /// A new entry has a higher rowid than any that is there.
    private mutating func isOfCertainEntry(_ table: SchemaSnapshot.Table) -> Bool {
        let limit = firstUncertainRowid ?? lastKeptEntry()
        firstUncertainRowid = limit
        return table.schemaRowid < limit
    }

    /// The last entry that is certain to be of the same table, by its rows; 0 for none.
    private func lastKeptEntry() -> Int64 {
        let entries = Dictionary(after.tables.values.map { ($0.schemaRowid, $0) }) { first, _ in first }
        return before.tables.values
            .filter { $0.rootPage > 0 && entries[$0.schemaRowid] != nil }
            .sorted { $0.schemaRowid > $1.schemaRowid }
            .prefix(Self.maxTablesToCheck)
            .first { keepsContent($0.rootPage, entries[$0.schemaRowid]?.rootPage ?? 0) }?
            .schemaRowid ?? 0
    }
}

extension TableDescription {
    /// Whether `ALTER TABLE` can have made these columns of the ones before, with no more than half of them renamed: added at
    /// the end, renamed in their place, or removed, and not both removed and added.
    fileprivate func isPlausiblyAltered(to other: TableDescription) -> Bool {
        let sources = ColumnSources.infer(from: columns, to: other.columns) ?? Array(columns.indices)
        let kept = sources.prefix { $0 != nil }.compactMap(\.self)
        guard sources.dropFirst(kept.count).allSatisfy({ $0 == nil }),
            zip(kept, kept.dropFirst()).allSatisfy({ $0 < $1 }),
            kept.count == columns.count || kept.count == other.columns.count
        else { return false }
        let pairs = zip(kept.map { columns[$0] }, other.columns)
        return pairs.allSatisfy { $0.hasSameDefinition(as: $1) }
            && pairs.count { $0.name.isIdentical(to: $1.name) } * 2 >= kept.count
    }
}
