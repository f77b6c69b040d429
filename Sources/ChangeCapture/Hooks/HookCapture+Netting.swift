import SQLiteConnection

/// From the log to the change set, while the transaction is still open.
extension HookCapture {
    func makeChangeSet() throws(SQLiteError) -> ChangeSet {
        try internally { () throws(SQLiteError) in
            var events: [ChangeEvent] = []
            if trail.hasSteps { events = trail.changes.map(ChangeEvent.schema) }
            var changedVirtualTables: Set<SQLName> = []
            for table in log.tables.indices {
                guard let name = trail.currentName(ofBase: log.sources[table].baseName),
                    let description = trail.current.tables[name]?.description
                else { continue }
                let converted = try settle(table, name, description)
                guard let rows = log.tables[table].net(as: description, level: log.level, converted: converted)
                else { continue }
                if let owner = trail.current.tables[name]?.shadowOwner {
                    changedVirtualTables.insert(owner)
                } else {
                    events.append(.rows(rows))
                }
            }
            if trail.hasSteps { try appendNewTables(to: &events, &changedVirtualTables) }
            for name in changedVirtualTables.sorted() {
                guard let table = trail.current.tables[name] else { continue }
                events.append(.rows(TableRows(changedTable: table.description)))
            }
            return ChangeSet(origin: .service, events: events)
        }
    }

    /// Reads again what may have been undone and what no hook told, and brings what is known of the rows before into the
    /// columns that the table has at the end.
    private func settle(
        _ table: Int,
        _ name: SQLName,
        _ description: TableDescription
    ) throws(SQLiteError) -> TableLog.ConvertedRows {
        let hasOtherColumns = trail.columnSources[name] != nil
        let entries = log.entriesToRead(of: table, all: hasOtherColumns)
        if entries.isEmpty { return [:] }
        let converted = hasOtherColumns ? try convertRowsBefore(table, name, description) : [:]
        let shape = TableShape(description)
        log.tables[table].reshape(shape)
        guard let reader = try reader(of: shape) else { return converted }
        var encoder = RecordEncoder()
        for entry in entries {
            if try reader.read(log.tables[table].key(of: entry), into: &encoder) {
                log.tables[table].keep(&encoder, entry, .now)
            } else {
                log.tables[table].setAbsent(entry)
            }
        }
        return converted
    }

    private func convertRowsBefore(
        _ table: Int,
        _ name: SQLName,
        _ description: TableDescription
    ) throws(SQLiteError) -> TableLog.ConvertedRows {
        var converters: [UInt32: RowConverter?] = [:]
        var converted: TableLog.ConvertedRows = [:]
        let log = log.tables[table]
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
        _ changedVirtualTables: inout Set<SQLName>
    ) throws(SQLiteError) {
        for table in trail.current.visibleTables where trail.baseName(of: table.name) == nil {
            switch table.description.kind {
            case .view: break
            case .table:
                let scan = TableScan(TableShape(table.description), level: log.level, limits: log.limits)
                if let rows = try scan.rows(from: connection) { events.append(.rows(rows)) }
            case .virtual:
                let hasShadows = trail.current.tables.values.contains { $0.shadowOwner == table.name }
                if hasShadows, try !connection.query("SELECT 1 FROM main.\(table.name.quoted) LIMIT 1").isEmpty {
                    changedVirtualTables.insert(table.name)
                }
            }
        }
    }
}
