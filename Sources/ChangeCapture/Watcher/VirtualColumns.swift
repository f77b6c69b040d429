import SQLiteConnection

/// Fills in the VIRTUAL generated columns of decoded rows: no page holds their values, SQLite computes them when it reads.
enum VirtualColumns {
    /// Replaces the NULLs that stand for these columns, in the rows before the commit and after it.
    ///
    /// The rows are all in the table's columns after the commit, and so are computed as it defines them then: a row *before*
    /// the commit is what it would be under the new schema. Columns that SQLite cannot compute stay NULL, and are named in
    /// ``TableRows/columnsOmitted``: their function or collation exists only in the writer's program, or fails for a value.
    static func fill(_ rows: inout TableRows, _ layout: TableLayout, reading records: RecordReader) {
        let columns = layout.table.columns.indices.filter {
            layout.table.columns[$0].visibility == .generatedVirtual
        }
        var images: [(rowid: Int64, row: Row)] = []
        for change in rows.rows {
            for row in [change.before, change.after] {
                if let row { images.append((change.rowid ?? 0, row)) }
            }
        }
        do throws(SQLiteError) {
            try records.compute(columns, of: layout.table, layout.fields, in: &images)
        } catch {
            for column in columns where !compute(column, layout, records, &images) {
                rows.columnsOmitted.append(layout.table.columns[column].name)
            }
        }
        var next = 0
        for index in rows.rows.indices {
            for image in [\RowChange.before, \RowChange.after] where rows.rows[index][keyPath: image] != nil {
                rows.rows[index][keyPath: image] = images[next].row
                next += 1
            }
        }
    }

    /// Whether a column that was there before is computed otherwise now. Then rows that no commit wrote read differently.
    static func areRedefined(
        from before: TableLayout,
        to after: TableLayout,
        sources: [Int?]?,
        reading records: RecordReader
    ) -> Bool {
        let sources = sources ?? Array(before.columns.indices)
        let kept = after.columns.indices.filter { column in
            guard after.columns[column].source == .virtual, let source = sources[column] else { return false }
            return before.columns[source].source == .virtual
        }
        // All of one table first: to show another one costs more than a program.
        let old = kept.map { column in
            records.program(of: sources[column] ?? column, in: before.table, before.fields) {
                sources.firstIndex(of: $0)
            }
        }
        let new = kept.map { column in records.program(of: column, in: after.table, after.fields) { $0 } }
        return old != new
    }

    /// One column by itself, where not all can be computed; false when it is this one.
    private static func compute(
        _ column: Int,
        _ layout: TableLayout,
        _ records: RecordReader,
        _ images: inout [(rowid: Int64, row: Row)]
    ) -> Bool {
        var computed = images
        do throws(SQLiteError) {
            try records.compute([column], of: layout.table, layout.fields, in: &computed)
        } catch {
            return false
        }
        images = computed
        return true
    }
}
