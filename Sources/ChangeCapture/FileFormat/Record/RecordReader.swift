import SQLiteConnection

/// Makes SQLite read records as rows of their table: only SQLite defines how a missing field, a generated column or an
/// odd type reads.
///
/// The records need not be in any file. They are put into a separate database that contains only the table's entry of
/// `sqlite_schema`, so that neither indexes and other tables nor the way to find a row matter. One thread at a time.
final class RecordReader {
    let encoding: TextEncoding

    private let image: RecordTableImage
    private let snapshot: SnapshotConnection
    /// The table that the image currently contains.
    private var table: TableDescription?
    private var select: (columns: [Int], statement: ReusableQuery)?
    private var builder = RowBuilder()

    /// - Parameter encoding: the database's encoding, which functions such as `hex` expose.
    init(encoding: TextEncoding) throws(SQLiteError) {
        self.encoding = encoding
        image = RecordTableImage(encoding: encoding)
        snapshot = try SnapshotConnection(image)
    }

    /// Runs `body`; SQLite fails with `SQLITE_INTERRUPT` once `limit` has passed.
    func withDeadline<R>(_ limit: Duration, _ body: () throws(SQLiteError) -> R) throws(SQLiteError) -> R {
        try snapshot.connection.withDeadline(limit, body)
    }

    /// For each column of the table that can have been added later, the value that a record without any field reads;
    /// NULL for the others.
    ///
    /// The first stored column can have been added as well: the ones before it were dropped. For a header that ends
    /// right after its own size, SQLite reports a corrupt record when the first field is read; it reads a header of
    /// size 0 as one without fields.
    ///
    /// Source: `OP_Column` in [vdbe.c](https://sqlite.org/src/file/src/vdbe.c).
    func missingValues(_ table: TableDescription, _ fields: RecordFields) throws(SQLiteError) -> [SQLiteValue] {
        var values = [SQLiteValue](repeating: .null, count: table.columns.count)
        let columns = table.columns.indices.filter { column in
            table.columns[column].defaultSQL != nil && table.columns[column].visibility == .normal
                && column != table.rowidAlias
        }
        guard !columns.isEmpty else { return values }
        try show(table)
        // SQLite reads the byte after the header's size before it checks the header's end: so that byte exists.
        let isAdded = [UInt8](arrayLiteral: 0, 0).withUnsafeBytes { image.append($0, rowid: 1) }
        precondition(isAdded, "a cell fits on an empty page")
        try read(columns, fields) { _, statement in
            for (position, column) in columns.enumerated() { values[column] = statement.value(position) }
        }
        return values
    }

    /// Computes the columns of the rows, which hold every stored column, and replaces their values by what SQLite
    /// reads.
    ///
    /// - Parameters:
    ///   - columns: VIRTUAL generated columns of the table.
    ///   - rows: rows in the columns of the table, each with its rowid.
    func compute(
        _ columns: [Int],
        of table: TableDescription,
        _ fields: RecordFields,
        in rows: inout [(rowid: Int64, row: Row)]
    ) throws(SQLiteError) {
        try show(table)
        // The records can be large.
        defer { image.removeRecords() }
        var next = 0
        while next < rows.count {
            let first = next
            image.removeRecords()
            while next < rows.count, append(rows[next].row, rowid: rows[next].rowid, table, fields) { next += 1 }
            var found = first
            try read(columns, fields) { _, statement in
                guard found < next else { return }
                rows[found].row = replacing(columns, of: rows[found].row, by: statement)
                found += 1
            }
            guard found == next else {
                throw SQLiteError(code: .corrupt, message: "\(next - first) records were read as \(found - first) rows")
            }
        }
    }

    /// The program by which SQLite computes a generated column, with the table's columns under the names that `name`
    /// returns for their positions: the same program computes the same value from the same row. Empty where the column
    /// cannot be computed.
    ///
    /// Source: [The SQLite Bytecode Engine](https://sqlite.org/opcode.html).
    func program(
        of column: Int,
        in table: TableDescription,
        _ fields: RecordFields,
        naming name: (Int) -> Int?
    ) -> [[SQLiteValue]] {
        do throws(SQLiteError) {
            try show(table)
            return try snapshot.connection.query("EXPLAIN \(sql([column], table, fields))").compactMap { row in
                guard row.count > 6, case .text(let operation) = row[1] else { return nil }
                // These two operations locate the table and do not affect the values.
                if operation == "Transaction" || operation == "OpenRead" { return nil }
                var row = Array(row[1...6])
                if operation == "Column", case .integer(let field) = row[2], fields.columns.indices.contains(Int(field))
                {
                    row[2] = name(fields.columns[Int(field)]).map { .integer(Int64($0)) } ?? .null
                }
                return row
            }
        } catch {
            // No value of the column is ever reported, so none can change.
            return []
        }
    }

    // MARK: Records

    private func append(_ row: Row, rowid: Int64, _ table: TableDescription, _ fields: RecordFields) -> Bool {
        row.withFields { values in
            for column in fields.columns {
                // The rowid's own field is always NULL.
                switch column == table.rowidAlias ? .null : values[column] {
                case .text(let bytes): builder.append(text: bytes, in: encoding)
                case let value: builder.append(value)
                }
            }
        }
        return builder.finish().withRecord { image.append($0, rowid: rowid) }
    }

    private func replacing(_ columns: [Int], of row: Row, by statement: borrowing Statement) -> Row {
        row.withFields { values in
            for column in values.indices {
                if let position = columns.firstIndex(of: column) {
                    statement.withColumn(position) { builder.append($0) }
                } else {
                    builder.append(values[column])
                }
            }
        }
        return builder.finish()
    }

    // MARK: SQLite

    private func show(_ table: TableDescription) throws(SQLiteError) {
        if self.table == table { return image.removeRecords() }
        select = nil
        self.table = nil
        image.show(table)
        snapshot.pagesChanged()
        EvaluationPolicy().boundValues(of: snapshot.connection, schema: [table.sql])
        // Loads the schema, and fails here when it cannot be loaded.
        _ = try snapshot.connection.query("SELECT 1 FROM sqlite_schema")
        self.table = table
    }

    /// Calls `body` with every row and its index.
    private func read(
        _ columns: [Int],
        _ fields: RecordFields,
        _ body: (Int, borrowing Statement) -> Void
    ) throws(SQLiteError) {
        snapshot.pagesChanged()
        if select?.columns != columns { select = (columns, try prepare(columns, fields)) }
        try select?.statement.forEachRow(body)
    }

    private func prepare(_ columns: [Int], _ fields: RecordFields) throws(SQLiteError) -> ReusableQuery {
        guard let table else { throw SQLiteError(code: .misuse, message: "no table is shown") }
        return try ReusableQuery(sql(columns, table, fields), on: snapshot.connection)
    }

    private func sql(_ columns: [Int], _ table: TableDescription, _ fields: RecordFields) -> String {
        // A qualified name cannot be taken for a string literal.
        let names = columns.map { "r." + SQLName(table.columns[$0].name).quoted }.joined(separator: ", ")
        // The records are only in the table and in none of its indexes.
        let source = fields.keyIndex.map { "INDEXED BY \($0.quoted)" } ?? "NOT INDEXED"
        return "SELECT \(names) FROM main.\(SQLName(table.name).quoted) AS r \(source)"
    }
}

/// A query that runs repeatedly.
private final class ReusableQuery {
    private var statement: Statement

    init(_ sql: String, on connection: Connection) throws(SQLiteError) {
        statement = try connection.prepare(sql, persistent: true)
    }

    func forEachRow(_ body: (Int, borrowing Statement) -> Void) throws(SQLiteError) {
        defer { statement.reset() }
        var place = 0
        while try statement.step() {
            body(place, statement)
            place += 1
        }
    }
}

extension Row {
    /// Calls `body` with every field, borrowed.
    fileprivate func withFields(_ body: ([BorrowedValue]) -> Void) {
        withRecord { bytes in
            var fields: [BorrowedValue] = []
            fields.reserveCapacity(count)
            BorrowedValue.forEach(inRecord: bytes) { fields.append($0) }
            body(fields)
        }
    }
}
