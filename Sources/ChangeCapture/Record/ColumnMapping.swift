package import SQLiteConnection

/// How the rows of a table that was altered carry over to its new columns.
package struct ColumnMapping: Sendable, Hashable {
    /// For each column after the change the position of the one before it; nil for a new one.
    package let sources: [Int?]
    /// For each column after the change the value where there is no source.
    package let missingValues: [SQLiteValue]
    /// Rows that the change did not write are the same row by this mapping. False where several alterations at once leave
    /// that open: then every row needs to be compared.
    package let isCertain: Bool

    /// Nil where every record reads the same before and after, so that equal bytes are equal rows.
    ///
    /// `sources` are those of ``SchemaChange/Modification/columnSources``: what a replica applies to the rows that it has.
    package init?(from before: TableLayout, to after: TableLayout, sources: [Int?]?) {
        if sources == nil, before.columns == after.columns, before.missingValues == after.missingValues,
            before.fields == after.fields
        {
            return nil
        }
        let oldCount = before.columns.count
        let valid = sources ?? after.columns.indices.map { $0 < oldCount ? $0 : nil }
        guard valid.count == after.columns.count else { return nil }
        self.sources = valid.map { source in source.flatMap { $0 < oldCount ? $0 : nil } }
        // A table whose missing values are not known is not decoded.
        missingValues = after.missingValues ?? after.columns.map { _ in .null }
        isCertain = Self.isCertain(self.sources, before, after)
    }

    private static func isCertain(_ sources: [Int?], _ before: TableLayout, _ after: TableLayout) -> Bool {
        guard before.fields.keyCount == after.fields.keyCount else { return false }
        // No alteration gives a column another default: one was dropped, and another one added that looks like it renamed.
        // Where rows do not have the field, they are the same bytes and read another value.
        guard sources.indices.allSatisfy({ after.hasSameDefault($0, as: before, sources[$0]) }) else { return false }
        let oldCount = before.columns.count
        if sources.count >= oldCount {
            // Columns were added at the end, or one was renamed. Several renames could have swapped names.
            guard (0..<oldCount).allSatisfy({ sources[$0] == $0 && before.columns[$0] == after.columns[$0] }),
                sources[oldCount...].allSatisfy({ $0 == nil })
            else { return false }
            let renamed = (0..<oldCount).count {
                !before.table.columns[$0].name.isIdentical(to: after.table.columns[$0].name)
            }
            return renamed <= 1
        }
        // DROP COLUMN rewrites every row of a stored column; the columns that stay keep their order. Where one was renamed
        // besides, it is a guess which.
        let kept = sources.compactMap(\.self)
        return kept.count == sources.count && zip(kept, kept.dropFirst()).allSatisfy { $0 < $1 }
            && kept.indices.allSatisfy { after.hasSameName($0, as: before, kept[$0]) }
    }
}

extension TableLayout {
    fileprivate func hasSameName(_ column: Int, as before: TableLayout, _ source: Int) -> Bool {
        table.columns[column].name.isIdentical(to: before.table.columns[source].name)
    }

    /// A new column, without a source, has whatever default it has.
    fileprivate func hasSameDefault(_ column: Int, as before: TableLayout, _ source: Int?) -> Bool {
        guard let source else { return true }
        return missingValues?[column] == before.missingValues?[source]
    }
}
