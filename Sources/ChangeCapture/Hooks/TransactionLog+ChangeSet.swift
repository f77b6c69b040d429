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
            let converted = try settle(table, name, current, trail, source)
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
        _ current: SchemaSnapshot.Table,
        _ trail: SchemaTrail,
        _ source: some RowSource
    ) throws(SQLiteError) -> TableLog.ConvertedRows {
        let hasOtherColumns = trail.columnSources[name] != nil
        let entries = rows.tables[table].entriesToRead(suspects: rows.suspects, all: hasOtherColumns)
        if entries.isEmpty { return [:] }
        let converted = hasOtherColumns ? convertRowsBefore(table, name, trail, source) : [:]
        let shape = TableShape(current)
        rows.tables[table].reshape(shape)
        var encoder = RecordEncoder()
        for entry in entries {
            let key = rows.tables[table].key(of: entry)
            guard let isThere = try source.readRow(key, of: shape, into: &encoder) else {
                // What may have been undone cannot be looked at.
                if rows.hasSuspects(of: table) { rows.tables[table].loseCounts() }
                break
            }
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
        _ trail: SchemaTrail,
        _ source: some RowSource
    ) -> TableLog.ConvertedRows {
        guard let current = trail.current.tables[name] else { return [:] }
        /// By the statement that touched a row first; nil where the columns are the same since then.
        var converters: [UInt32: Result<RowConverter, SQLiteError>?] = [:]
        var converted: TableLog.ConvertedRows = [:]
        let log = rows.tables[table]
        for entry in log.entries.indices where log.entries[entry].before.exists {
            let ordinal = log.entries[entry].firstTouch
            if converters[ordinal] == nil {
                let sources = trail.columnSources(of: name, since: ordinal)
                converters[ordinal] = .some(sources.map { Self.converter(to: current, sources: $0, source) })
            }
            guard let converter = converters[ordinal] ?? nil else { continue }
            let rowid = log.shape.table.hasRowid ? log.entries[entry].key : nil
            converted[entry] = .some(log.rowBefore(entry).flatMap { Self.convert($0, rowid: rowid, converter) })
        }
        return converted
    }

    private static func converter(
        to table: SchemaSnapshot.Table,
        sources: [Int?],
        _ source: some RowSource
    ) -> Result<RowConverter, SQLiteError> {
        do throws(SQLiteError) {
            return .success(try RowConverter(to: table, sources: sources, reading: try source.recordReader()))
        } catch {
            return .failure(error)
        }
    }

    /// Nil where SQLite cannot say what the row became: then the rows of the table are omitted.
    private static func convert(
        _ row: Row,
        rowid: Int64?,
        _ converter: Result<RowConverter, SQLiteError>
    ) -> Row? {
        do throws(SQLiteError) { return try converter.get().convert(row, rowid: rowid) } catch { return nil }
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
                if let new = try source.allRows(of: table, level: rows.level, limits: rows.limits) {
                    events.append(.rows(new))
                }
            case .virtual:
                let hasShadows = trail.current.tables.values.contains { $0.shadowOwner == table.name }
                if hasShadows, try source.hasRows(table.name) { changedVirtualTables.insert(table.name) }
            }
        }
    }
}

extension ChangeSet {
    /// Takes over what the trail says of the schema now.
    mutating func follow(_ trail: SchemaTrail) {
        let rows = events.compactMap { event -> ChangeEvent? in
            guard case .rows(var rows) = event else { return nil }
            rows.table = trail.current[rows.table.name]?.description ?? rows.table
            return .rows(rows)
        }
        events = trail.changes.map(ChangeEvent.schema) + rows
    }
}
