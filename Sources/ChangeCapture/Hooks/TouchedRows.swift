import SQLiteConnection

/// The rows that the open transaction touched, of all tables, and which of them may have been undone.
struct TouchedRows {
    /// A table that the transaction touched rows of, by its name before the transaction.
    struct Source {
        var baseName: SQLName
        var isShadow: Bool
    }

    let level: CaptureLevel
    let limits: CaptureLimits
    var tables: [TableLog] = []
    /// Beside ``tables``.
    private(set) var sources: [Source] = []
    /// The ordinal of the statement that runs, or of the last one.
    private(set) var ordinal: UInt32 = 0
    private(set) var suspects = OrdinalRanges()
    /// Nil where there are none, for the sake of what runs once per row.
    var suspectsIfAny: OrdinalRanges? { suspects.isEmpty ? nil : suspects }
    private var eventCount = 0
    private var eventCountAtStatement = 0

    init(level: CaptureLevel, limits: CaptureLimits) {
        self.level = level
        self.limits = limits
    }

    // MARK: Statements

    mutating func statementBegins() {
        ordinal += 1
        eventCountAtStatement = eventCount
    }

    /// What a statement that ended means for the rows recorded so far.
    ///
    /// - Parameters:
    ///   - failed: it ended with an error, or is a `ROLLBACK TO`. SQLite does not tell whether the rows of a failed statement
    ///     were kept (FAIL) or undone (ABORT).
    ///   - isRollbackTo: it goes back to some savepoint: all rows so far may be concerned.
    mutating func statementEnds(failed: Bool, isRollbackTo: Bool) {
        guard failed, eventCount > 0 else { return }
        if isRollbackTo {
            suspect(since: 1)
        } else if eventCount > eventCountAtStatement {
            suspect(since: ordinal)
        }
    }

    /// Rows touched last by a statement since `first` have to be read again.
    private mutating func suspect(since first: UInt32) {
        suspects.insert(first...ordinal)
        for table in tables.indices { tables[table].noteUndone(since: first) }
    }

    /// Drops the rows that were first touched by that statement or a later one, all of which are undone: their content
    /// before was noted in columns that the table no longer has.
    mutating func forget(touchedFirstSince ordinal: UInt32) {
        for table in tables.indices { tables[table].forget(touchedFirstSince: ordinal) }
    }

    /// Gives up on telling what happened to any row.
    mutating func loseCounts() {
        for table in tables.indices { tables[table].loseCounts() }
    }

    // MARK: Rows

    /// The log of a table, made when there is none.
    mutating func table(_ baseName: SQLName, _ shape: TableShape, isShadow: Bool) -> Int {
        if let known = sources.firstIndex(where: { $0.baseName == baseName }) {
            tables[known].reshape(shape)
            return known
        }
        sources.append(Source(baseName: baseName, isShadow: isShadow))
        // Of a shadow table it matters only whether it changed.
        tables.append(TableLog(shape, detail: isShadow ? .counts : level))
        return tables.count - 1
    }

    /// Whether rows of the table may have been undone.
    func hasSuspects(of table: Int) -> Bool {
        tables[table].entries.contains { suspects.contains($0.lastTouch) }
    }

    mutating func count(_ table: Int, _ operation: UpdateOperation, rowid: Int64) {
        tables[table].count(operation, rowid: rowid, ordinal: ordinal, maxBytes: limits.maxKeySetBytes)
    }

    mutating func count(_ table: Int, _ operation: UpdateOperation, fingerprint: UInt64) {
        tables[table].count(operation, fingerprint: fingerprint, ordinal: ordinal, maxBytes: limits.maxKeySetBytes)
    }

    @inline(__always)
    mutating func noteEvent() { eventCount += 1 }

    var isEmpty: Bool { eventCount == 0 }

    /// Keeps what is recorded within the limits: the table that holds most gives way first. Cheap enough to be asked after
    /// every event.
    @inline(__always)
    mutating func enforceLimits(rowsAdded: Int, bytesAdded: Int) {
        rowCount += rowsAdded
        byteCount += bytesAdded
        if rowCount > limits.maxRows || byteCount > limits.maxValueBytes { shed() }
    }
    private var rowCount = 0
    private var byteCount = 0

    @inline(never)
    private mutating func shed() {
        recount()
        while byteCount > limits.maxValueBytes,
            let largest = tables.indices.max(by: { tables[$0].byteCount < tables[$1].byteCount })
        {
            if tables[largest].hasValues {
                tables[largest].dropValues()
            } else {
                tables[largest].dropEntries(suspects: suspects)
            }
            recount()
        }
        while rowCount > limits.maxRows,
            let largest = tables.indices.max(by: { tables[$0].entries.count < tables[$1].entries.count })
        {
            tables[largest].dropEntries(suspects: suspects)
            recount()
        }
    }

    private mutating func recount() {
        rowCount = tables.reduce(0) { $0 + $1.entries.count }
        byteCount = tables.reduce(0) { $0 + $1.byteCount }
    }
}
