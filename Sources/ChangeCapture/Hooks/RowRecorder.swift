import SQLiteConnection

/// Takes row events into a ``TransactionLog``: reads of each event what the log's table wants, and no more.
///
/// Runs within the hook's callback, once per row, and allocates nothing but the log's own growth.
struct RowRecorder: ~Copyable {
    /// The hook's name of a table, and what it stands for.
    private struct KnownTable {
        var identity: UInt
        /// The log's table; nil for one that is not captured.
        var table: Int?
        /// The columns that this statement can change; all of them where that is not known.
        var changeable: [Int]
    }

    /// Reads the row that is about to change through SQL into the encoder; false when that was not possible.
    typealias ReadBefore = (_ shape: TableShape, _ key: RowKey, _ encoder: inout RecordEncoder) -> Bool

    private var encoder = RecordEncoder()
    private var keyEncoder = RecordEncoder()
    private var newKeyEncoder = RecordEncoder()
    /// The event's old key is not known.
    private var isKeyLost = false
    private var known: [KnownTable] = []
    private var current = KnownTable(identity: 0, table: nil, changeable: [])
    /// By the name of the table in the schema of the moment.
    private(set) var tablesByName: [SQLName: Int?] = [:]

    // MARK: Which table

    mutating func transactionBegins() { forgetTables() }

    mutating func statementBegins() {
        known.removeAll(keepingCapacity: true)
        current = KnownTable(identity: 0, table: nil, changeable: [])
    }

    /// The schema is another one: names and addresses stand for other tables.
    mutating func forgetTables() {
        tablesByName = [:]
        statementBegins()
    }

    /// Makes the table of that identity the current one; false when it is not known in this statement.
    @inline(__always)
    mutating func select(_ identity: UInt) -> Bool { current.identity == identity || selectKnown(identity) }

    private mutating func selectKnown(_ identity: UInt) -> Bool {
        guard let found = known.first(where: { $0.identity == identity }) else { return false }
        current = found
        return true
    }

    mutating func learn(_ identity: UInt, _ table: Int?, changeable: [Int]) {
        current = KnownTable(identity: identity, table: table, changeable: changeable)
        known.append(current)
    }

    mutating func learn(_ name: SQLName, _ table: Int?) { tablesByName[name] = .some(table) }

    // MARK: One event

    @inline(__always)
    mutating func record<Event: RowEvent & ~Copyable>(
        _ event: borrowing Event,
        in log: inout TransactionLog,
        readBefore: ReadBefore
    ) {
        guard let table = current.table else { return }
        log.noteEvent()
        isKeyLost = false
        let rows = log.tables[table].entries.count
        let bytes = log.tables[table].byteCount
        if log.tables[table].isCounting {
            count(event, in: &log, table, readBefore)
        } else if log.tables[table].shape.table.hasRowid {
            recordByRowid(event, in: &log, table, readBefore)
        } else {
            recordByKey(event, in: &log, table, readBefore)
        }
        log.enforceLimits(
            rowsAdded: log.tables[table].entries.count - rows,
            bytesAdded: log.tables[table].byteCount - bytes
        )
    }

    private mutating func recordByRowid<Event: RowEvent & ~Copyable>(
        _ event: borrowing Event,
        in log: inout TransactionLog,
        _ table: Int,
        _ readBefore: ReadBefore
    ) {
        let ordinal = log.ordinal
        switch event.operation {
        case .insert:
            let entry = log.tables[table].touch(rowid: event.newRowid, existed: false, ordinal: ordinal).entry
            appear(event, in: &log.tables[table], entry)
        case .delete:
            let touch = log.tables[table].touch(rowid: event.oldRowid, existed: true, ordinal: ordinal)
            if touch.isFirst { keepBefore(event, in: &log.tables[table], touch.entry, readBefore) }
            disappear(event, in: &log.tables[table], touch.entry)
        case .update where event.oldRowid == event.newRowid:
            let wasSuspect = log.isSuspect(table, rowid: event.oldRowid)
            let touch = log.tables[table].touch(rowid: event.oldRowid, existed: true, ordinal: ordinal)
            if touch.isFirst { keepBefore(event, in: &log.tables[table], touch.entry, readBefore) }
            change(event, in: &log.tables[table], touch.entry, wasSuspect: wasSuspect)
        case .update:
            let old = log.tables[table].touch(rowid: event.oldRowid, existed: true, ordinal: ordinal)
            if old.isFirst { keepBefore(event, in: &log.tables[table], old.entry, readBefore) }
            log.tables[table].setAbsent(old.entry)
            let new = log.tables[table].touch(rowid: event.newRowid, existed: false, ordinal: ordinal)
            appear(event, in: &log.tables[table], new.entry)
        }
    }

    private mutating func recordByKey<Event: RowEvent & ~Copyable>(
        _ event: borrowing Event,
        in log: inout TransactionLog,
        _ table: Int,
        _ readBefore: ReadBefore
    ) {
        let ordinal = log.ordinal
        encodeKeys(event, log.tables[table].shape, readBefore)
        if isKeyLost { return log.tables[table].loseCounts() }
        switch event.operation {
        case .insert:
            let entry = touchNewKey(in: &log.tables[table], existed: false, ordinal).entry
            appear(event, in: &log.tables[table], entry)
        case .delete:
            let touch = touchOldKey(in: &log.tables[table], ordinal)
            if touch.isFirst { keepBefore(event, in: &log.tables[table], touch.entry, readBefore) }
            disappear(event, in: &log.tables[table], touch.entry)
        case .update:
            let suspects = log.suspects
            let touch = touchOldKey(in: &log.tables[table], ordinal)
            if touch.isFirst { keepBefore(event, in: &log.tables[table], touch.entry, readBefore) }
            if keyEncoder.isEqual(to: newKeyEncoder) {
                change(event, in: &log.tables[table], touch.entry, wasSuspect: !suspects.isEmpty)
                return
            }
            log.tables[table].setAbsent(touch.entry)
            let entry = touchNewKey(in: &log.tables[table], existed: false, ordinal).entry
            appear(event, in: &log.tables[table], entry)
        }
    }

    private mutating func encodeKeys<Event: RowEvent & ~Copyable>(
        _ event: borrowing Event,
        _ shape: TableShape,
        _ readBefore: ReadBefore
    ) {
        if event.operation != .insert {
            keyEncoder.begin()
            for (position, column) in shape.identity.enumerated() {
                let value = event.oldValue(shape.hookColumnsOfIdentity[position])
                keyEncoder.append(shape.normal(value, column))
            }
            if !shape.doubtfulKeyPositions.isEmpty { encodeKeyThroughSQL(shape, readBefore) }
        }
        if event.operation != .delete {
            let columns =
                event.operation == .update ? shape.updateColumnsOfIdentity : shape.hookColumnsOfIdentity
            newKeyEncoder.begin()
            for (position, column) in shape.identity.enumerated() {
                newKeyEncoder.append(shape.normal(event.newValue(columns[position]), column))
            }
        }
    }

    /// Replaces the old key by the one that is really there, which is equal as a number at least.
    @inline(never)
    private mutating func encodeKeyThroughSQL(_ shape: TableShape, _ readBefore: ReadBefore) {
        let key = Row(record: keyEncoder.finish { [UInt8]($0) + [UInt8]($1) }, count: shape.identity.count)
        // Beyond 2⁵³ the conversion loses digits, and a row that is found need not be the one.
        let isExact = shape.doubtfulKeyPositions.allSatisfy { position in
            if case .real(let value) = key[position] { abs(value) < 0x1p53 } else { true }
        }
        guard isExact, readBefore(shape, .equalKey(key), &encoder) else {
            isKeyLost = true
            return
        }
        let row = Row(record: encoder.finish { [UInt8]($0) + [UInt8]($1) }, count: shape.columnCount)
        keyEncoder.begin()
        row.selecting(shape.identity).forEachField { keyEncoder.append($0) }
    }

    private mutating func touchOldKey(in table: inout TableLog, _ ordinal: UInt32) -> (entry: Int, isFirst: Bool) {
        keyEncoder.finish { table.touch(key: $0, $1, existed: true, ordinal: ordinal) }
    }

    private mutating func touchNewKey(
        in table: inout TableLog,
        existed: Bool,
        _ ordinal: UInt32
    ) -> (entry: Int, isFirst: Bool) {
        newKeyEncoder.finish { table.touch(key: $0, $1, existed: existed, ordinal: ordinal) }
    }

    // MARK: Contents

    /// The row is there now and was not just before.
    @inline(__always)
    private mutating func appear<Event: RowEvent & ~Copyable>(
        _ event: borrowing Event,
        in table: inout TableLog,
        _ entry: Int
    ) {
        if table.shape.isReadThroughSQL {
            table.setUnread(entry)
        } else if table.hasValues {
            encodeNew(event, table.shape)
            encoder.finish { table.setRecord(entry, .now, $0, $1) }
        } else {
            if table.keepsNamedKey { keepNamedKey(event, in: &table, entry, .now) }
            if table.entries[entry].before.exists {
                table.setHash(entry, .now, hashNew(event, table.shape))
            } else {
                table.setPresent(entry)
            }
        }
    }

    /// The row is there before and now.
    @inline(__always)
    private mutating func change<Event: RowEvent & ~Copyable>(
        _ event: borrowing Event,
        in table: inout TableLog,
        _ entry: Int,
        wasSuspect: Bool
    ) {
        let now = table.entries[entry].now
        guard !table.hasValues, !table.shape.isReadThroughSQL, table.entries[entry].before.exists, !wasSuspect,
            now != .unread, now.exists
        else { return appear(event, in: &table, entry) }
        if table.keepsNamedKey { keepNamedKey(event, in: &table, entry, .now) }
        table.setHash(entry, .now, table.hashes[entry].now &+ difference(event, table.shape))
    }

    @inline(__always)
    private mutating func disappear<Event: RowEvent & ~Copyable>(
        _ event: borrowing Event,
        in table: inout TableLog,
        _ entry: Int
    ) {
        if event.isBlobWrite { table.setUnread(entry) } else { table.setAbsent(entry) }
    }

    /// Keeps what the row holds before the transaction touches it.
    @inline(__always)
    private mutating func keepBefore<Event: RowEvent & ~Copyable>(
        _ event: borrowing Event,
        in log: inout TableLog,
        _ entry: Int,
        _ readBefore: ReadBefore
    ) {
        let shape = log.shape
        if !shape.isReadThroughSQL {
            if log.hasValues {
                if encodeOld(event, shape) {
                    encoder.finish { log.setRecord(entry, .before, $0, $1) }
                    return
                }
            } else if let hash = hashOld(event, shape) {
                if log.keepsNamedKey { keepNamedKey(event, in: &log, entry, .before) }
                log.setHash(entry, .before, hash)
                log.setHash(entry, .now, hash)
                return
            }
        }
        keepBeforeThroughSQL(in: &log, entry, readBefore)
    }

    @inline(never)
    private mutating func keepBeforeThroughSQL(
        in log: inout TableLog,
        _ entry: Int,
        _ readBefore: ReadBefore
    ) {
        // Left unread where SQL fails too: the messages then omit the rows.
        guard readBefore(log.shape, log.key(of: entry), &encoder) else { return }
        log.keep(&encoder, entry, .before)
    }

    // MARK: Reading values

    @inline(__always)
    private mutating func encodeNew<Event: RowEvent & ~Copyable>(_ event: borrowing Event, _ shape: TableShape) {
        encoder.begin()
        for column in 0..<shape.columnCount {
            encoder.append(shape.normal(event.newValue(column), column))
        }
    }

    /// False when a NULL at the end may stand for a default.
    @inline(__always)
    private mutating func encodeOld<Event: RowEvent & ~Copyable>(
        _ event: borrowing Event,
        _ shape: TableShape
    ) -> Bool {
        var lastValue = -1
        encoder.begin()
        for column in 0..<shape.columnCount {
            let value = shape.normal(event.oldValue(column), column)
            if !value.isNull { lastValue = column }
            encoder.append(value)
        }
        return lastValue >= shape.lastAddedDefault
    }

    @inline(__always)
    private func hashNew<Event: RowEvent & ~Copyable>(_ event: borrowing Event, _ shape: TableShape) -> UInt64 {
        var hash: UInt64 = 0
        for column in 0..<shape.columnCount {
            hash &+= ContentHash.hash(shape.normal(event.newValue(column), column), column: column)
        }
        return hash
    }

    /// Nil when a NULL at the end may stand for a default.
    @inline(__always)
    private func hashOld<Event: RowEvent & ~Copyable>(_ event: borrowing Event, _ shape: TableShape) -> UInt64? {
        var hash: UInt64 = 0
        var lastValue = -1
        for column in 0..<shape.columnCount {
            let value = shape.normal(event.oldValue(column), column)
            if !value.isNull { lastValue = column }
            hash &+= ContentHash.hash(value, column: column)
        }
        return lastValue >= shape.lastAddedDefault ? hash : nil
    }

    /// By how much the change changes the hash: the columns that no part of the statement sets need not be read.
    @inline(__always)
    private func difference<Event: RowEvent & ~Copyable>(_ event: borrowing Event, _ shape: TableShape) -> UInt64 {
        var difference: UInt64 = 0
        for column in current.changeable {
            difference &+= ContentHash.hash(shape.normal(event.newValue(column), column), column: column)
            difference &-= ContentHash.hash(shape.normal(event.oldValue(column), column), column: column)
        }
        return difference
    }

    private mutating func keepNamedKey<Event: RowEvent & ~Copyable>(
        _ event: borrowing Event,
        in table: inout TableLog,
        _ entry: Int,
        _ moment: TableLog.Moment
    ) {
        let shape = table.shape
        encoder.begin()
        for column in shape.namedKey {
            let value = moment == .before ? event.oldValue(column) : event.newValue(column)
            encoder.append(shape.normal(value, column))
        }
        encoder.finish { table.setRecord(entry, moment, $0, $1) }
    }

    // MARK: Counting alone

    private mutating func count<Event: RowEvent & ~Copyable>(
        _ event: borrowing Event,
        in log: inout TransactionLog,
        _ table: Int,
        _ readBefore: ReadBefore
    ) {
        let shape = log.tables[table].shape
        let operation = event.isBlobWrite ? .update : event.operation
        if operation == .update {
            // Whether anything changed at all would have to be read, before and after.
            if event.isBlobWrite || shape.isReadThroughSQL { return log.tables[table].loseCounts() }
            let isMove = shape.table.hasRowid && event.oldRowid != event.newRowid
            if !isMove, difference(event, shape) == 0 { return }
        }
        if shape.table.hasRowid {
            let (old, new) = (event.oldRowid, event.newRowid)
            switch operation {
            case .insert: log.count(table, .insert, rowid: new)
            case .delete: log.count(table, .delete, rowid: old)
            case .update where event.isBlobWrite || old == new: log.count(table, .update, rowid: old)
            case .update:
                log.count(table, .delete, rowid: old)
                log.count(table, .insert, rowid: new)
            }
            return
        }
        encodeKeys(event, shape, readBefore)
        if isKeyLost { return log.tables[table].loseCounts() }
        let old = keyEncoder.finish(TableLog.fingerprint)
        let new = newKeyEncoder.finish(TableLog.fingerprint)
        switch operation {
        case .insert: log.count(table, .insert, fingerprint: new)
        case .delete: log.count(table, .delete, fingerprint: old)
        case .update where event.isBlobWrite || old == new: log.count(table, .update, fingerprint: old)
        case .update:
            log.count(table, .delete, fingerprint: old)
            log.count(table, .insert, fingerprint: new)
        }
    }
}
