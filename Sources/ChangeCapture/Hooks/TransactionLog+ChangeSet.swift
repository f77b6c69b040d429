import SQLiteConnection

/// From the log to the change set, while the transaction is still open.
extension TransactionLog {
    /// What the transaction did on the whole, in the schemas that it passed through.
    mutating func changeSet(_ trail: SchemaTrail, from source: some RowSource) throws(SQLiteError) -> ChangeSet {
        var events: [ChangeEvent] = []
        if trail.hasSteps { events = trail.changes.map(ChangeEvent.schema) }
        var changedVirtualTables: Set<SQLName> = []
        for table in rows.tables.indices {
            guard let name = trail.currentName(ofBase: rows.sources[table].baseName),
                let current = trail.current.tables[name]
            else { continue }
            let description = current.description
            let converted = try settle(table, name, description, trail, source)
            guard let net = rows.tables[table].net(as: description, level: rows.level, converted: converted)
            else { continue }
            if let owner = current.shadowOwner {
                changedVirtualTables.insert(owner)
            } else {
                events.append(.rows(net))
            }
        }
        if trail.hasSteps { try appendNewTables(to: &events, &changedVirtualTables, trail, source) }
        for name in changedVirtualTables.sorted() {
            guard let table = trail.current.tables[name] else { continue }
            events.append(.rows(TableRows(changedTable: table.description)))
        }
        return ChangeSet(origin: .service, events: events)
    }

    /// Reads again what may have been undone and what no hook told, and brings what is known of the rows before into the
    /// columns that the table has at the end.
    private mutating func settle(
        _ table: Int,
        _ name: SQLName,
        _ description: TableDescription,
        _ trail: SchemaTrail,
        _ source: some RowSource
    ) throws(SQLiteError) -> TableLog.ConvertedRows {
        let hasOtherColumns = trail.columnSources[name] != nil
        let entries = rows.tables[table].entriesToRead(suspects: rows.suspects, all: hasOtherColumns)
        if entries.isEmpty { return [:] }
        let converted = hasOtherColumns ? try convertRowsBefore(table, name, description, trail) : [:]
        let shape = TableShape(description)
        rows.tables[table].reshape(shape)
        var encoder = RecordEncoder()
        for entry in entries {
            let key = rows.tables[table].key(of: entry)
            guard let isThere = try source.readRow(key, of: shape, into: &encoder) else { break }
            if isThere {
                rows.tables[table].keep(&encoder, entry, .now)
            } else {
                rows.tables[table].setAbsent(entry)
            }
        }
        return converted
    }

    private func convertRowsBefore(
        _ table: Int,
        _ name: SQLName,
        _ description: TableDescription,
        _ trail: SchemaTrail
    ) throws(SQLiteError) -> TableLog.ConvertedRows {
        var converters: [UInt32: RowConverter?] = [:]
        var converted: TableLog.ConvertedRows = [:]
        let log = rows.tables[table]
        for entry in log.entries.indices where log.entries[entry].before.exists {
            let ordinal = log.entries[entry].firstTouch
            if converters[ordinal] == nil {
                let sources = trail.columnSources(of: name, since: ordinal)
                converters[ordinal] = .some(
                    try sources.map { (sources) throws(SQLiteError) in
                        try RowConverter(to: description, sources: sources)
                    }
                )
            }
            guard let converter = converters[ordinal] ?? nil else { continue }
            converted[entry] = .some(
                try log.rowBefore(entry).map { (row) throws(SQLiteError) in try converter.convert(row) }
            )
        }
        return converted
    }

    /// All rows of tables that are new in the transaction.
    private func appendNewTables(
        to events: inout [ChangeEvent],
        _ changedVirtualTables: inout Set<SQLName>,
        _ trail: SchemaTrail,
        _ source: some RowSource
    ) throws(SQLiteError) {
        for table in trail.current.visibleTables where trail.baseName(of: table.name) == nil {
            switch table.description.kind {
            case .view: break
            case .table:
                if let new = try source.allRows(of: table.description, level: rows.level, limits: rows.limits) {
                    events.append(.rows(new))
                }
            case .virtual:
                let hasShadows = trail.current.tables.values.contains { $0.shadowOwner == table.name }
                if hasShadows, try source.hasRows(table.name) { changedVirtualTables.insert(table.name) }
            }
        }
    }
}
