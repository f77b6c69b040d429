package import SQLiteConnection

/// Maps the columns of a table to the records of its b-tree.
///
/// A record holds only the stored columns: an `INTEGER PRIMARY KEY` is NULL there and is the cell's rowid, VIRTUAL
/// generated columns are absent, a `WITHOUT ROWID` table's key comes first, and a row written before `ALTER TABLE … ADD
/// COLUMN` ends early.
///
/// Immutable. The catalogs of consecutive schemas share the layouts of tables that did not change.
///
/// Source: [Representation of SQL tables](https://sqlite.org/fileformat2.html#representation_of_sql_tables).
package final class TableLayout: Sendable {
    package enum Source: Sendable, Hashable {
        /// The rowid of the cell.
        case rowid
        /// The field of the record with this index.
        case field(Int)
        /// Computed when read, not stored: decoded as NULL, to be filled in by SQL.
        case virtual
    }

    package struct Column: Sendable, Hashable {
        package var source: Source
        /// The column has REAL affinity: SQLite stores a whole number as an integer and reads it as a real.
        package var readsIntegersAsReal: Bool
    }

    package let table: TableDescription
    /// In the order of ``TableDescription/columns``.
    package let columns: [Column]
    /// The columns that the fields of the records hold.
    package let fields: RecordFields
    /// For each column the value when a record is too short to have its field: the value that SQLite reads then. Nil
    /// when SQLite could not evaluate it; then no row of the table can be decoded reliably.
    package let missingValues: [SQLiteValue]?
    /// Whether the rows' VIRTUAL generated columns must be computed.
    package let hasVirtualColumns: Bool

    /// The leading fields of the record that are the primary key of a `WITHOUT ROWID` table; 0 for a table with rowid.
    package var keyFieldCount: Int { fields.keyCount }

    package init(_ table: TableDescription, fields: RecordFields, missingValues: [SQLiteValue]?) {
        self.table = table
        self.fields = fields
        self.missingValues = missingValues
        columns = table.columns.enumerated().map { index, column in
            // A key can name a column twice: both fields hold its value.
            let field = fields.columns.firstIndex(of: index)
            return Column(
                source: index == table.rowidAlias ? .rowid : field.map(Source.field) ?? .virtual,
                readsIntegersAsReal: Affinity.isReal(declared: column.type)
            )
        }
        hasVirtualColumns = table.columns.contains { $0.visibility == .generatedVirtual }
    }
}

/// How the rows of an altered table carry over to its new columns.
package struct ColumnMapping: Sendable, Hashable {
    /// For each column after the change its position before; nil for a new one.
    package let sources: [Int?]
    /// For each column after the change the value when there is no source.
    package let missingValues: [SQLiteValue]
    /// Rows that the change did not write carry over exactly by this mapping. False when several alterations at once
    /// make that ambiguous: then every row must be compared.
    package let isCertain: Bool

    /// Nil when every record reads the same before and after, so that equal bytes are equal rows.
    ///
    /// `sources` are those of ``SchemaChange/Modification/columnSources``: the mapping that a replica applies to its
    /// rows.
    package init?(from before: TableLayout, to after: TableLayout, sources: [Int?]?) {
        if sources == nil {
            if before === after { return nil }
            if before.columns == after.columns, before.missingValues == after.missingValues,
                before.fields == after.fields
            {
                return nil
            }
        }
        let oldCount = before.columns.count
        let valid = sources ?? after.columns.indices.map { $0 < oldCount ? $0 : nil }
        guard valid.count == after.columns.count else { return nil }
        self.sources = valid.map { source in source.flatMap { $0 < oldCount ? $0 : nil } }
        // A table whose missing values are unknown is not decoded.
        missingValues = after.missingValues ?? after.columns.map { _ in .null }
        isCertain = Self.isCertain(self.sources, before, after)
    }

    private static func isCertain(_ sources: [Int?], _ before: TableLayout, _ after: TableLayout) -> Bool {
        guard before.fields.keyCount == after.fields.keyCount else { return false }
        // No alteration changes a column's default: a column was dropped, and one was added that looks like a rename of
        // it. Rows without the field have the same bytes and read another value.
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
        // DROP COLUMN rewrites every row of a stored column; the columns that stay keep their order. When a column was
        // renamed as well, the pairing is a guess.
        let kept = sources.compactMap(\.self)
        return kept.count == sources.count && zip(kept, kept.dropFirst()).allSatisfy { $0 < $1 }
            && kept.indices.allSatisfy { after.hasSameName($0, as: before, kept[$0]) }
    }
}

extension TableLayout {
    fileprivate func hasSameName(_ column: Int, as before: TableLayout, _ source: Int) -> Bool {
        table.columns[column].name.isIdentical(to: before.table.columns[source].name)
    }

    /// A new column, without a source, can have any default.
    fileprivate func hasSameDefault(_ column: Int, as before: TableLayout, _ source: Int?) -> Bool {
        guard let source else { return true }
        return missingValues?[column] == before.missingValues?[source]
    }
}
