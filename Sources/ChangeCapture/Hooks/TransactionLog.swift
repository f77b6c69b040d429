import SQLiteConnection

/// The state of the connection's open transaction: a pure state machine from the events of the hooks, and the ends of
/// statements, to one net ``ChangeSet``.
///
/// It decides what may have been undone, which rows must be read again before the commit, and what the net effect is.
/// It runs no SQL: a ``RowSource`` reads for it.
///
/// It need not know savepoints, however they are nested and named: the content of a row before the transaction is
/// recorded once and stays right whatever is undone, and its content at the end is read again where something may have
/// been undone.
struct TransactionLog: ~Copyable {
    var rows: TouchedRows
    private var recorder = RowRecorder()
    /// By the name of the table in the current schema; nil for a table that is not captured row by row.
    private var tablesByName: [SQLName: Int?] = [:]
    /// The running statement is the whole transaction.
    private var isAlone = false

    init(level: CaptureLevel, limits: CaptureLimits) {
        rows = TouchedRows(level: level, limits: limits)
    }

    /// Begins another transaction. Releases the memory of a large one.
    mutating func begin(level: CaptureLevel, limits: CaptureLimits) {
        rows = TouchedRows(level: level, limits: limits)
        isAlone = false
        forgetTables()
    }

    // MARK: Statements

    /// - Parameter isAlone: it is the only statement of its transaction, which is rolled back when it fails.
    mutating func statementBegins(isAlone: Bool = false) {
        distrustAlone()
        self.isAlone = isAlone && rows.isEmpty
        rows.statementBegins()
        recorder.statementBegins()
    }

    /// Updates the recorded rows after a statement ended; see ``TouchedRows/statementEnds(failed:isRollbackTo:)``.
    mutating func statementEnds(failed: Bool, isRollbackTo: Bool) {
        if failed { distrustAlone() }
        rows.statementEnds(failed: failed, isRollbackTo: isRollbackTo)
    }

    /// The transaction goes on after a statement that was announced as its only one: data that was not recorded for
    /// that reason is missing.
    private mutating func distrustAlone() {
        if isAlone, !rows.isEmpty { rows.loseCounts() }
        isAlone = false
    }

    // MARK: Rows

    /// Records a row event; false when its table is not known in this statement: call ``learn(_:_:_:)`` and then this
    /// again.
    @inline(__always)
    mutating func record<Event: RowEvent & ~Copyable>(
        _ event: borrowing Event,
        readBefore: RowRecorder.ReadBefore
    ) -> Bool {
        recorder.record(event, in: &rows, readBefore: readBefore)
    }

    /// Sets the table of an event identity; `makeTable` is called when the table is not known by name.
    mutating func learn(
        _ identity: UInt,
        _ name: SQLName,
        _ traits: StatementTraits,
        makeTable: (SQLName, inout TouchedRows) -> Int?
    ) {
        let table: Int?
        if let known = tablesByName[name] {
            table = known
        } else {
            table = makeTable(name, &rows)
            tablesByName[name] = .some(table)
        }
        guard let table else { return ignore(identity) }
        let shape = rows.tables[table].shape
        let expectation = RowRecorder.Expectation(
            table: table,
            changeable: shape.changeableColumns(traits.updatedColumns[name]),
            isFinal: isAlone && !traits.canBringBackRows(of: name, shape)
        )
        recorder.learn(identity, expectation, columnCount: shape.columnCount)
    }

    /// Ignores the events of an identity: they come from another database.
    mutating func ignore(_ identity: UInt) {
        recorder.learn(identity, RowRecorder.Expectation(), columnCount: 0)
    }

    // MARK: Schema

    /// Forgets the tables after a schema change: names and addresses refer to other tables now.
    mutating func forgetTables() {
        tablesByName = [:]
        recorder.statementBegins()
    }

    /// Drops the rows that were first touched by that statement or a later one; all of these are undone, and their
    /// content was recorded in columns that the table no longer has.
    mutating func forget(touchedFirstSince ordinal: UInt32) { rows.forget(touchedFirstSince: ordinal) }
}

/// From the log to the change set, while the transaction is still open.
extension TransactionLog {
    /// The net effect of the transaction, in the schemas that it passed through.
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

    /// Reads again the rows that may have been undone or that no hook reported, and converts the rows from before to
    /// the columns that the table has at the end.
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
        let converted = hasOtherColumns ? convertRows(.before, of: table, current, trail, source) : [:]
        let shape = TableShape(current)
        rows.tables[table].reshape(shape)
        var encoder = RecordEncoder()
        for entry in entries {
            let key = rows.tables[table].key(of: entry)
            guard let isThere = try source.readRow(key, of: shape, into: &encoder) else {
                // The rows that may have been undone cannot be read.
                if rows.hasSuspects(of: table) {
                    rows.tables[table].loseCounts()
                } else if hasOtherColumns {
                    // Each was recorded in the columns that the table had then.
                    for (entry, row) in convertRows(.now, of: table, current, trail, source) {
                        rows.tables[table].replaceRowNow(entry, row)
                    }
                }
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

    /// The recorded rows of a table in the columns that it has now, where it had others when they were recorded.
    private func convertRows(
        _ moment: TableLog.Moment,
        of table: Int,
        _ current: SchemaSnapshot.Table,
        _ trail: SchemaTrail,
        _ source: some RowSource
    ) -> TableLog.ConvertedRows {
        /// By the statement that recorded a row; nil when the columns did not change since then.
        var converters: [UInt32: Result<RowConverter, SQLiteError>?] = [:]
        var converted: TableLog.ConvertedRows = [:]
        let log = rows.tables[table]
        for entry in log.entries.indices where log.exists(entry, moment) {
            let ordinal = moment == .before ? log.entries[entry].firstTouch : log.entries[entry].lastTouch
            if converters[ordinal] == nil {
                let sources = trail.columnSources(of: current.name, since: ordinal)
                converters[ordinal] = .some(sources.map { Self.converter(to: current, sources: $0, source) })
            }
            guard let converter = converters[ordinal] ?? nil else { continue }
            let rowid = log.shape.table.hasRowid ? log.entries[entry].key : nil
            converted[entry] = .some(log.row(entry, moment).flatMap { Self.convert($0, rowid: rowid, converter) })
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

    /// Nil when SQLite cannot compute the converted row: then the rows of the table are omitted.
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
