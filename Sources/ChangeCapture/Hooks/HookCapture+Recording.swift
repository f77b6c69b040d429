import SQLiteConnection

extension HookCapture {
    /// The pre-update hook.
    func record(_ event: borrowing PreUpdate) {
        if recordKnown(event) { return }
        learn(event)
        _ = recordKnown(event)
    }

    @inline(__always)
    private func recordKnown(_ event: borrowing PreUpdate) -> Bool {
        log.record(event) { shape, key, encoder in readBefore(shape, key, &encoder) }
    }

    /// Finds out what table an event is about.
    @inline(never)
    private func learn(_ event: borrowing PreUpdate) {
        guard event.isInMain else { return log.ignore(event.tableIdentity) }
        let name = event.withTableName { SQLName(String(decoding: $0, as: UTF8.self)) }
        log.learn(event.tableIdentity, name, observed) { name, rows in makeTable(name, in: &rows) }
    }

    private func makeTable(_ name: SQLName, in rows: inout TouchedRows) -> Int? {
        // All rows of a table that is new in the transaction are new: they are read at the end.
        guard let table = trail.current.tables[name], table.description.kind == .table,
            let baseName = trail.baseName(of: name)
        else { return nil }
        return rows.table(baseName, shape(of: table), isShadow: table.isShadow)
    }

    private func shape(of table: SchemaSnapshot.Table) -> TableShape {
        if let known = shapes[table.name] { return known }
        let shape = TableShape(table)
        shapes[table.name] = shape
        return shape
    }

    /// The content of a row that the hook cannot report without loss, read while it is still there.
    ///
    /// SQL within the pre-update hook is what SQLite's own session extension does too: the hook runs before the b-tree is
    /// touched, and the query nests in the running statement like one of a user-defined function.
    private func readBefore(_ shape: TableShape, _ key: RowKey, _ encoder: inout RecordEncoder) -> Bool {
        // A progress handler that interrupts the running statement is asked during this one too, and not at once again.
        for _ in 0..<3 {
            let found = try? internally { () throws(SQLiteError) in
                try reader(of: shape)?.read(key, into: &encoder) ?? false
            }
            if let found { return found }
        }
        return false
    }

    private func reader(of shape: TableShape) throws(SQLiteError) -> RowReader? {
        let name = SQLName(shape.table.name)
        if let known = readers[name] { return known }
        let reader = try RowReader(shape, on: connection)
        readers[name] = .some(reader)
        return reader
    }
}

extension HookCapture: RowSource {
    func readRow(_ key: RowKey, of shape: TableShape, into encoder: inout RecordEncoder) throws(SQLiteError) -> Bool? {
        guard let reader = try reader(of: shape) else { return nil }
        return try reader.read(key, into: &encoder)
    }

    func allRows(
        of table: SchemaSnapshot.Table,
        level: CaptureLevel,
        limits: CaptureLimits
    ) throws(SQLiteError) -> TableRows? {
        try TableScan(TableShape(table), level: level, limits: limits).rows(from: connection)
    }

    func hasRows(_ table: SQLName) throws(SQLiteError) -> Bool {
        try !connection.query("SELECT 1 FROM main.\(table.quoted) LIMIT 1").isEmpty
    }

    func recordReader() throws(SQLiteError) -> RecordReader {
        if let records { return records }
        let reader = try RecordReader(encoding: try TextEncoding.read(from: connection))
        records = reader
        return reader
    }
}
