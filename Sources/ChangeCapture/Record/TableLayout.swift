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
    /// For each column the value where a record is too short to have its field.
    package let missingValues: [SQLiteValue]
    /// The leading fields of the record that are the primary key of a `WITHOUT ROWID` table; 0 for a table with rowid.
    package let keyFieldCount: Int
    /// The table's rows need their VIRTUAL generated columns filled in.
    package let hasVirtualColumns: Bool

    /// Asks `missingValue` once for each column that has a default: the value that a row written before the column was
    /// added reads, which is the default with the column's affinity applied.
    package init<E>(_ table: TableDescription, missingValue: (ColumnDescription) throws(E) -> SQLiteValue) throws(E) {
        self.table = table
        let key = table.hasRowid ? [] : Self.withoutRepeats(table.primaryKey)
        var nextField = key.count
        var columns: [Column] = []
        var missingValues: [SQLiteValue] = []
        for (index, column) in table.columns.enumerated() {
            let source: Source
            if column.visibility == .generatedVirtual {
                source = .virtual
            } else if let ordinal = key.firstIndex(of: index) {
                source = .field(ordinal)
            } else {
                // The rowid's alias has a field too, always NULL.
                source = index == table.rowidAlias ? .rowid : .field(nextField)
                nextField += 1
            }
            columns.append(Column(source: source, readsIntegersAsReal: Self.hasRealAffinity(column.type)))
            let hasDefault = column.defaultSQL != nil && column.visibility == .normal
            missingValues.append(hasDefault ? try missingValue(column) : .null)
        }
        self.columns = columns
        self.missingValues = missingValues
        keyFieldCount = key.count
        hasVirtualColumns = table.columns.contains { $0.visibility == .generatedVirtual }
    }

    /// The rules for [column affinity](https://sqlite.org/datatype3.html#determination_of_column_affinity), in their order.
    private static func hasRealAffinity(_ type: String) -> Bool {
        let type = type.uppercased()
        if type.contains("INT") { return false }
        if ["CHAR", "CLOB", "TEXT"].contains(where: type.contains) { return false }
        if type.isEmpty || type.contains("BLOB") { return false }
        return ["REAL", "FLOA", "DOUB"].contains(where: type.contains)
    }

    /// SQLite keeps the first of the columns that a `PRIMARY KEY` names twice.
    private static func withoutRepeats(_ columns: [Int]) -> [Int] {
        var seen: Set<Int> = []
        return columns.filter { seen.insert($0).inserted }
    }
}
