import SQLiteConnection

/// Records row events in ``TouchedRows``: reads of each event only what the log's table needs.
///
/// Runs within the hook's callback, once per row, and allocates only when the log grows.
struct RowRecorder: ~Copyable {
    /// What is known of a table's events in the running statement.
    struct Expectation {
        /// The log's table; nil when the table is not captured.
        var table: Int?
        /// The columns that the statement can change; all columns when that is not known.
        var changeable: [Int] = []
        /// No row of the table that this transaction deletes or moves can come back in it, and its changes can only be
        /// undone all together: so the previous content of a row need not be kept for a later comparison.
        var isFinal = false
    }

    /// The hook's name of a table, and the table it refers to.
    private struct KnownTable {
        var identity: UInt = 0
        var expectation = Expectation()
        /// For each column, whether it is among the changeable ones.
        var isChangeable: [Bool] = []
    }

    /// Reads the row that is about to change through SQL into the encoder; false when that was impossible.
    typealias ReadBefore = (_ shape: TableShape, _ key: RowKey, _ encoder: inout RecordEncoder) -> Bool

    private var encoder = RecordEncoder()
    private var keyEncoder = RecordEncoder()
    private var newKeyEncoder = RecordEncoder()
    /// The event's old key is not known.
    private var isKeyLost = false
    private var known: [KnownTable] = []
    private var current = KnownTable()

    // MARK: Which table

    mutating func statementBegins() {
        known.removeAll(keepingCapacity: true)
        current = KnownTable()
    }

    private mutating func selectKnown(_ identity: UInt) -> Bool {
        guard let found = known.first(where: { $0.identity == identity }) else { return false }
        current = found
        return true
    }

    mutating func learn(_ identity: UInt, _ expectation: Expectation, columnCount: Int) {
        var isChangeable = [Bool](repeating: false, count: columnCount)
        for column in expectation.changeable { isChangeable[column] = true }
        current = KnownTable(identity: identity, expectation: expectation, isChangeable: isChangeable)
        known.append(current)
    }

    // MARK: One event

    /// False when the event's table is not known in this statement: call ``learn(_:_:columnCount:)`` and then this
    /// again.
    @inline(__always)
    mutating func record<Event: RowEvent & ~Copyable>(
        _ event: borrowing Event,
        in rows: inout TouchedRows,
        readBefore: ReadBefore
    ) -> Bool {
        let identity = event.tableIdentity
        guard current.identity == identity || selectKnown(identity) else { return false }
        guard let table = current.expectation.table else { return true }
        rows.noteEvent()
        if rows.tables[table].isCounting {
            isKeyLost = false
            count(event, in: &rows, table, readBefore)
            rows.enforceLimits(rowsAdded: 0, bytesAdded: 0)
        } else {
            let growth = record(event, in: &rows.tables[table], rows.ordinal, rows.suspectsIfAny, readBefore)
            rows.enforceLimits(rowsAdded: growth.rows, bytesAdded: growth.bytes)
        }
        return true
    }

    @inline(__always)
    private mutating func record<Event: RowEvent & ~Copyable>(
        _ event: borrowing Event,
        in table: inout TableLog,
        _ ordinal: UInt32,
        _ suspects: OrdinalRanges?,
        _ readBefore: ReadBefore
    ) -> (rows: Int, bytes: Int) {
        // Covers most rows of large transactions completely.
        switch event.operation {
        case .insert: if table.take(rowid: event.newRowid, isDeleted: false, ordinal: ordinal) { return (1, 0) }
        case .delete where current.expectation.isFinal && !event.isBlobWrite:
            if table.take(rowid: event.oldRowid, isDeleted: true, ordinal: ordinal) { return (1, 0) }
        default: break
        }
        let rows = table.entries.count
        let bytes = table.byteCount
        if table.isIdentifiedByRowid {
            recordByRowid(event, in: &table, ordinal, suspects, readBefore)
        } else {
            isKeyLost = false
            recordByKey(event, in: &table, ordinal, suspects, readBefore)
        }
        return (table.entries.count - rows, table.byteCount - bytes)
    }

    private mutating func recordByRowid<Event: RowEvent & ~Copyable>(
        _ event: borrowing Event,
        in table: inout TableLog,
        _ ordinal: UInt32,
        _ suspects: OrdinalRanges?,
        _ readBefore: ReadBefore
    ) {
        switch event.operation {
        case .insert:
            let touch = table.touch(rowid: event.newRowid, existed: false, ordinal: ordinal)
            appear(event, in: &table, touch.entry)
        case .delete:
            let touch = table.touch(rowid: event.oldRowid, existed: true, ordinal: ordinal)
            disappear(event, in: &table, touch, readBefore)
        case .update where event.oldRowid == event.newRowid:
            let touch = table.touch(rowid: event.oldRowid, existed: true, ordinal: ordinal)
            change(event, in: &table, touch, suspects, readBefore)
        case .update:
            let old = table.touch(rowid: event.oldRowid, existed: true, ordinal: ordinal)
            if old.isFirst { keepBefore(event, in: &table, old.entry, readBefore) }
            table.setAbsent(old.entry)
            let new = table.touch(rowid: event.newRowid, existed: false, ordinal: ordinal)
            appear(event, in: &table, new.entry)
        }
    }

    private mutating func recordByKey<Event: RowEvent & ~Copyable>(
        _ event: borrowing Event,
        in table: inout TableLog,
        _ ordinal: UInt32,
        _ suspects: OrdinalRanges?,
        _ readBefore: ReadBefore
    ) {
        encodeKeys(event, table.shape, readBefore)
        if isKeyLost { return table.loseCounts() }
        switch event.operation {
        case .insert:
            appear(event, in: &table, touchNewKey(in: &table, ordinal).entry)
        case .delete:
            disappear(event, in: &table, touchOldKey(in: &table, ordinal), readBefore)
        case .update:
            let touch = touchOldKey(in: &table, ordinal)
            if keyEncoder.isEqual(to: newKeyEncoder) {
                change(event, in: &table, touch, suspects, readBefore)
                return
            }
            if touch.isFirst { keepBefore(event, in: &table, touch.entry, readBefore) }
            table.setAbsent(touch.entry)
            appear(event, in: &table, touchNewKey(in: &table, ordinal).entry)
        }
    }

    private mutating func encodeKeys<Event: RowEvent & ~Copyable>(
        _ event: borrowing Event,
        _ shape: TableShape,
        _ readBefore: ReadBefore
    ) {
        if shape.isIdentityHidden { isKeyLost = true }
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
                let value = shape.normal(event.newValue(columns[position]), column)
                if event.operation == .update, shape.canMistakeForReal(value, column) { isKeyLost = true }
                newKeyEncoder.append(value)
            }
        }
    }

    /// Replaces the old key by the stored one, which is at least equal as a number.
    @inline(never)
    private mutating func encodeKeyThroughSQL(_ shape: TableShape, _ readBefore: ReadBefore) {
        let key = Row(record: keyEncoder.finish { [UInt8]($0) + [UInt8]($1) }, count: shape.identity.count)
        // Beyond 2⁵³ the conversion loses digits, and the row that is found can be another one.
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

    private mutating func touchOldKey(in table: inout TableLog, _ ordinal: UInt32) -> TableLog.Touch {
        keyEncoder.finish { table.touch(key: $0, $1, existed: true, ordinal: ordinal) }
    }

    private mutating func touchNewKey(in table: inout TableLog, _ ordinal: UInt32) -> TableLog.Touch {
        newKeyEncoder.finish { table.touch(key: $0, $1, existed: false, ordinal: ordinal) }
    }

    // MARK: Contents

    /// The row exists now and did not exist just before.
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

    /// The row exists before and after the event, with the same identity.
    @inline(__always)
    private mutating func change<Event: RowEvent & ~Copyable>(
        _ event: borrowing Event,
        in table: inout TableLog,
        _ touch: TableLog.Touch,
        _ suspects: OrdinalRanges?,
        _ readBefore: ReadBefore
    ) {
        let entry = touch.entry
        let isHashed = !table.hasValues && !table.shape.isReadThroughSQL
        if touch.isFirst {
            if current.expectation.isFinal, isHashed, let difference = difference(event, table.shape) {
                if table.keepsNamedKey {
                    keepNamedKey(event, in: &table, entry, .before)
                    keepNamedKey(event, in: &table, entry, .now)
                }
                table.setHash(entry, .before, 0)
                table.setHash(entry, .now, difference)
                return
            }
            keepBefore(event, in: &table, entry, readBefore)
        }
        if table.hasValues, !table.shape.isReadThroughSQL {
            encodeChanged(event, table.shape)
            encoder.finish { table.setRecord(entry, .now, $0, $1) }
            return
        }
        let now = table.entries[entry].now
        guard isHashed, table.entries[entry].before.exists, now != .unread, now.exists,
            suspects?.contains(touch.previous) != true, let difference = difference(event, table.shape)
        else { return appear(event, in: &table, entry) }
        if table.keepsNamedKey { keepNamedKey(event, in: &table, entry, .now) }
        table.setHash(entry, .now, table.hashes(of: entry).now &+ difference)
    }

    @inline(__always)
    private mutating func disappear<Event: RowEvent & ~Copyable>(
        _ event: borrowing Event,
        in table: inout TableLog,
        _ touch: TableLog.Touch,
        _ readBefore: ReadBefore
    ) {
        let isBlobWrite = event.isBlobWrite
        if touch.isFirst {
            if current.expectation.isFinal, !table.hasValues, !isBlobWrite, !table.shape.isReadThroughSQL {
                if table.keepsNamedKey { keepNamedKey(event, in: &table, touch.entry, .before) }
                table.setPresentBefore(touch.entry)
            } else {
                keepBefore(event, in: &table, touch.entry, readBefore)
            }
        }
        if isBlobWrite { table.setUnread(touch.entry) } else { table.setAbsent(touch.entry) }
    }

    /// Keeps the content of the row before the transaction touches it.
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
        // The row stays unread when SQL fails too: the messages then omit the rows.
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

    /// False when a NULL at the end may represent a default.
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

    /// Nil when a NULL at the end may represent a default.
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

    /// The row after an update: columns that no part of the statement sets keep their value, and reading them from the
    /// old row spares SQLite a copy.
    @inline(__always)
    private mutating func encodeChanged<Event: RowEvent & ~Copyable>(_ event: borrowing Event, _ shape: TableShape) {
        encoder.begin()
        for column in 0..<shape.columnCount {
            let isKept = !current.isChangeable[column] && !shape.isAddedWithDefault[column]
            let value = isKept ? event.oldValue(column) : event.newValue(column)
            encoder.append(shape.normal(value, column))
        }
    }

    /// The difference that the change makes to the hash: the columns that no part of the statement sets need not be
    /// read. Nil when a NULL may represent a default.
    @inline(__always)
    private func difference<Event: RowEvent & ~Copyable>(_ event: borrowing Event, _ shape: TableShape) -> UInt64? {
        var difference: UInt64 = 0
        let changeable = current.expectation.changeable
        for position in changeable.indices {
            let column = changeable[position]
            let old = event.oldValue(column)
            if old.isNull, shape.isAddedWithDefault[column] { return nil }
            difference &+= ContentHash.hash(shape.normal(event.newValue(column), column), column: column)
            difference &-= ContentHash.hash(shape.normal(old, column), column: column)
        }
        for position in shape.addedWithDefault.indices {
            let column = shape.addedWithDefault[position]
            if current.isChangeable[column] { continue }
            let (old, new) = (event.oldValue(column), event.newValue(column))
            if old.isNull {
                // A column that is not set and stays NULL is stored as NULL.
                if new.isNull { continue }
                return nil
            }
            difference &+= ContentHash.hash(shape.normal(new, column), column: column)
            difference &-= ContentHash.hash(shape.normal(old, column), column: column)
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
        in log: inout TouchedRows,
        _ table: Int,
        _ readBefore: ReadBefore
    ) {
        let shape = log.tables[table].shape
        let operation = event.isBlobWrite ? .update : event.operation
        if operation == .update {
            // Both states would have to be read to determine whether anything changed.
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
