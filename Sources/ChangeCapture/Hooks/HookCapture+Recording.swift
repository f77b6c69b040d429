import SQLiteConnection

extension HookCapture {
    /// The pre-update hook.
    func record(_ event: borrowing PreUpdate) {
        if !recorder.select(event.tableIdentity) { learn(event) }
        recorder.record(event, in: &log) { shape, key, encoder in readBefore(shape, key, &encoder) }
    }

    /// Finds out what table an event is about.
    private func learn(_ event: borrowing PreUpdate) {
        guard event.isInMain else {
            recorder.learn(event.tableIdentity, nil, changeable: [])
            return
        }
        let name = event.withTableName { SQLName(String(decoding: $0, as: UTF8.self)) }
        let table = tableIndex(of: name)
        let changeable = table.map { log.tables[$0].shape.changeableColumns(observed.updatedColumns[name]) } ?? []
        recorder.learn(event.tableIdentity, table, changeable: changeable)
    }

    /// The log of the table with that name in the schema of the moment; nil for one whose rows are not captured one by one.
    private func tableIndex(of name: SQLName) -> Int? {
        if let known = recorder.tablesByName[name] { return known }
        let index = makeTable(name)
        recorder.learn(name, index)
        return index
    }

    private func makeTable(_ name: SQLName) -> Int? {
        // All rows of a table that is new in the transaction are new: they are read at the end.
        guard let table = trail.current.tables[name], table.description.kind == .table,
            let baseName = trail.baseName(of: name)
        else { return nil }
        return log.table(baseName, shape(of: table), isShadow: table.isShadow)
    }

    private func shape(of table: SchemaSnapshot.Table) -> TableShape {
        if let known = shapes[table.name] { return known }
        let shape = TableShape(table.description)
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

    func reader(of shape: TableShape) throws(SQLiteError) -> RowReader? {
        let name = SQLName(shape.table.name)
        if let known = readers[name] { return known }
        let reader = try RowReader(shape, on: connection)
        readers[name] = .some(reader)
        return reader
    }
}
