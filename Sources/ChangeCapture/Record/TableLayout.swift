package import SQLiteConnection

/// Where each column of a table is found in the records of its b-tree.
///
/// A record holds the stored columns only: an `INTEGER PRIMARY KEY` is NULL there and is the cell's rowid, VIRTUAL
/// generated columns are absent, a `WITHOUT ROWID` table's key comes first, and a row written before `ALTER TABLE … ADD
/// COLUMN` ends early.
///
/// Source: [Representation of SQL tables](https://sqlite.org/fileformat2.html#representation_of_sql_tables).
package struct TableLayout: Sendable, Hashable {
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
    /// Which columns the fields of the records hold.
    package let fields: RecordFields
    /// For each column the value where a record is too short to have its field: what SQLite reads there. Nil where it could
    /// not be asked; then no row of the table can be decoded for certain.
    package let missingValues: [SQLiteValue]?
    /// The table's rows need their VIRTUAL generated columns filled in.
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
