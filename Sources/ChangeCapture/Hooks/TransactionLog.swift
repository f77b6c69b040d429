import SQLiteConnection

/// Everything the capture knows of the transaction that is open on its connection: a pure state machine from what the hooks
/// report, and how statements end, to one net ``ChangeSet``.
///
/// It decides what may have been undone, what has to be read again before the commit, and what was changed on the whole.
/// It runs nothing: what it needs to read it asks a ``RowSource`` for.
///
/// Savepoints need not be told, however they are nested and named: what a row held before the transaction is noted once
/// and right whatever is undone, and what it holds at the end is read again where something may have been.
struct TransactionLog: ~Copyable {
    var rows: TouchedRows
    private var recorder = RowRecorder()
    /// By the name of the table in the schema of the moment; nil for one that is not captured row by row.
    private var tablesByName: [SQLName: Int?] = [:]
    /// The statement that runs is the whole transaction.
    private var isAlone = false

    init(level: CaptureLevel, limits: CaptureLimits) {
        rows = TouchedRows(level: level, limits: limits)
    }

    /// Another transaction begins. Gives the memory of a large one back.
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

    /// What a statement that ended means for the rows recorded so far; see ``TouchedRows/statementEnds(failed:isRollbackTo:)``.
    mutating func statementEnds(failed: Bool, isRollbackTo: Bool) {
        if failed { distrustAlone() }
        rows.statementEnds(failed: failed, isRollbackTo: isRollbackTo)
    }

    /// The transaction goes on after a statement that was said to be all of it: what was left out for that reason is missing.
    private mutating func distrustAlone() {
        if isAlone, !rows.isEmpty { rows.loseCounts() }
        isAlone = false
    }

    // MARK: Rows

    /// Takes a row event; false when its table is not known in this statement: ``learn(_:_:_:)`` it, and come again.
    @inline(__always)
    mutating func record<Event: RowEvent & ~Copyable>(
        _ event: borrowing Event,
        readBefore: RowRecorder.ReadBefore
    ) -> Bool {
        recorder.record(event, in: &rows, readBefore: readBefore)
    }

    /// Says which table the events of an identity are about; `makeTable` is asked when that is not known by name.
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

    /// The events of an identity are of no interest: they come from another database.
    mutating func ignore(_ identity: UInt) {
        recorder.learn(identity, RowRecorder.Expectation(), columnCount: 0)
    }

    // MARK: Schema

    /// The schema is another one: names and addresses stand for other tables.
    mutating func forgetTables() {
        tablesByName = [:]
        recorder.statementBegins()
    }

    /// Drops the rows that were first touched by that statement or a later one, all of which are undone: their content
    /// before was noted in columns that the table no longer has.
    mutating func forget(touchedFirstSince ordinal: UInt32) { rows.forget(touchedFirstSince: ordinal) }
}
