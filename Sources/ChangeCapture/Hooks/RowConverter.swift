import SQLiteConnection

/// Brings a row into the columns that its table has later, as `ALTER TABLE` did with the rows that were there: kept columns
/// keep their value, new ones read what a row reads that is older than they, generated ones are computed.
///
/// SQLite itself says what these are: see ``RecordReader``.
final class RowConverter {
    private let table: SchemaSnapshot.Table
    /// For each column of the table, its position in the old row; nil for a new one.
    private let sources: [Int?]
    private let missingValues: [SQLiteValue]
    private let virtualColumns: [Int]
    private let records: RecordReader

    /// - Parameters:
    ///   - table: the table as it is later.
    ///   - sources: for each of its columns, the position in the old row; nil for a new one.
    init(to table: SchemaSnapshot.Table, sources: [Int?], reading records: RecordReader) throws(SQLiteError) {
        self.table = table
        self.sources = sources
        self.records = records
        let columns = table.description.columns
        virtualColumns = columns.indices.filter { columns[$0].visibility == .generatedVirtual }
        missingValues = try records.missingValues(table.description, table.fields)
    }

    func convert(_ row: Row, rowid: Int64?) throws(SQLiteError) -> Row {
        let old = row.values
        let values = sources.indices.map { column in
            guard let source = sources[column] else { return missingValues[column] }
            return source < old.count ? old[source] : .null
        }
        guard !virtualColumns.isEmpty else { return Row(values) }
        var rows = [(rowid: rowid ?? 0, row: Row(values))]
        try records.compute(virtualColumns, of: table.description, table.fields, in: &rows)
        return rows[0].row
    }
}
