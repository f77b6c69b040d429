/// Distinguishes a table that was renamed within a transaction, and possibly altered, from one that was dropped while another
/// one was created in its place.
///
/// `ALTER TABLE` keeps the entry in `sqlite_schema` with its rowid. The rowid of a dropped table is reused by the next new
/// table only if it was the last one.
package struct RenameEvidence {
    /// Whether the rows show that the table with the first root page before the transaction is the table with the second root
    /// page after it: a row has the same bytes in both, or where `fields` are given, the same values in these. False if there is
    /// no such evidence.
    package typealias ContentCheck = (_ oldRoot: Int64, _ newRoot: Int64, _ fields: [FieldPair]?) -> Bool

    /// The positions of a column in the records of a table before and after the transaction.
    package struct FieldPair: Hashable {
        var before: Int
        var after: Int
    }

    private let before: SchemaSnapshot
    private let after: SchemaSnapshot
    private let keepsContent: ContentCheck
    /// Entries with a lower rowid still belong to the same tables; nil until it is needed.
    private var firstUncertainRowid: Int64?

    /// The number of tables that are checked for one that kept its entry and its rows.
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
        let isSameSQL = same?.description.sql.isIdentical(to: table.description.sql) == true
        switch table.description.kind {
        case .view: return false
        case .virtual: return !isSameSQL && previous.description.columns.count == table.description.columns.count
        case .table: break
        }
        guard previous.description.hasSameKey(as: table.description) else { return false }
        let isKept = keepsContent(previous.rootPage, table.rootPage, nil)
        // VACUUM renumbers entries and roots, and renames nothing; tables that swap names can have the same SQL under each name.
        // Only the rows distinguish the two.
        if let same, isSameSQL || !isKept, keepsContent(same.rootPage, table.rootPage, nil) { return false }
        if isSameSQL { return isKept }
        return isKept || isOfCertainEntry(table)
            || (previous.rootPage == table.rootPage
                && (previous.description.isPlausiblyAltered(to: table.description)
                    || keepsValues(of: previous, in: table)))
    }

    /// Whether a row kept its values in the columns that both tables have: `DROP COLUMN` writes every row again.
    private func keepsValues(of previous: SchemaSnapshot.Table, in table: SchemaSnapshot.Table) -> Bool {
        let columns = table.description.columns
        let sources = ColumnSources.infer(from: previous.description.columns, to: columns) ?? Array(columns.indices)
        var fields: [FieldPair] = []
        // The record has NULL in place of the rowid.
        for (column, source) in sources.enumerated() where column != table.description.rowidAlias {
            guard let source, let before = previous.fields.columns.firstIndex(of: source),
                let after = table.fields.columns.firstIndex(of: column)
            else { continue }
            fields.append(FieldPair(before: before, after: after))
        }
        return !fields.isEmpty && keepsContent(previous.rootPage, table.rootPage, fields)
    }

    /// A new entry has a higher rowid than any that is there.
    private mutating func isOfCertainEntry(_ table: SchemaSnapshot.Table) -> Bool {
        let limit = firstUncertainRowid ?? lastKeptEntry()
        firstUncertainRowid = limit
        return table.schemaRowid < limit
    }

    /// The rowid of the last entry whose table kept its rows; 0 for none.
    private func lastKeptEntry() -> Int64 {
        let entries = Dictionary(after.tables.values.map { ($0.schemaRowid, $0) }) { first, _ in first }
        return before.tables.values
            .filter { $0.rootPage > 0 && entries[$0.schemaRowid] != nil }
            .sorted { $0.schemaRowid > $1.schemaRowid }
            .prefix(Self.maxTablesToCheck)
            .first { keepsContent($0.rootPage, entries[$0.schemaRowid]?.rootPage ?? 0, nil) }?
            .schemaRowid ?? 0
    }
}

extension TableDescription {
    /// Whether `ALTER TABLE` can have produced these columns with no more than half of them renamed: columns added at the end,
    /// renamed in place, or removed, but not both removed and added.
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
