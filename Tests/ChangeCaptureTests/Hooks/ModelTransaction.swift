import SQLiteConnection

@testable import ChangeCapture

/// A table in memory that reports its changes to a ``TransactionLog`` as the hooks would, and nothing more: no SQLite,
/// no I/O.
///
/// The table is `t(id INTEGER PRIMARY KEY, a, b)`, and all values are integers.
final class ModelTransaction {
    typealias Values = [Int64]

    private(set) var rows: [Int64: Values]
    private let rowsBefore: [Int64: Values]
    private var savepoints: [(name: String, rows: [Int64: Values])] = []
    private var log: TransactionLog
    private let trail: SchemaTrail

    struct Event: RowEvent {
        var tableIdentity: UInt { 1 }
        var operation: UpdateOperation
        var oldRowid: Int64
        var newRowid: Int64
        var old: Values = []
        var new: Values = []
        var isBlobWrite: Bool { false }
        func oldValue(_ column: Int) -> BorrowedValue { column < old.count ? .integer(old[column]) : .null }
        func newValue(_ column: Int) -> BorrowedValue { column < new.count ? .integer(new[column]) : .null }
    }

    /// How a statement ends, and the effect on its rows. The log only learns whether it failed.
    enum End {
        case done
        /// An error that undoes the statement.
        case abort
        /// An error that keeps the statement's earlier changes.
        case fail
    }

    init(
        _ rows: [Int64: Values] = [:],
        level: CaptureLevel = .values,
        limits: CaptureLimits = CaptureLimits()
    ) {
        self.rows = rows
        rowsBefore = rows
        log = TransactionLog(level: level, limits: limits)
        let columns = ["id", "a", "b"].map { name in
            ColumnDescription(
                name: name,
                type: name == "id" ? "INTEGER" : "",
                isNotNull: false,
                defaultSQL: nil,
                primaryKeyOrdinal: name == "id" ? 1 : 0,
                visibility: .normal
            )
        }
        let table = TableDescription(
            name: "t",
            kind: .table,
            sql: "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)",
            columns: columns,
            primaryKey: [0],
            hasRowid: true,
            rowidAlias: 0
        )
        trail = SchemaTrail(
            base: SchemaSnapshot(
                version: 1,
                tables: [
                    SQLName("t"): SchemaSnapshot.Table(
                        description: table,
                        fields: RecordFields(ofRowidTable: columns),
                        schemaRowid: 1,
                        rootPage: 2,
                        shadowOwner: nil,
                        objects: []
                    )
                ]
            )
        )
    }

    // MARK: Statements

    /// - Parameter updates: the columns that the authorizer saw it set.
    func statement(
        _ end: End = .done,
        isAlone: Bool = false,
        traits: StatementTraits = StatementTraits(),
        _ body: (ModelTransaction) -> Void
    ) {
        let rowsBefore = rows
        self.traits = traits
        log.statementBegins(isAlone: isAlone)
        body(self)
        if end == .abort { rows = rowsBefore }
        log.statementEnds(failed: end != .done, isRollbackTo: false)
    }
    private var traits = StatementTraits()

    func insert(_ id: Int64, _ a: Int64, _ b: Int64) {
        send(Event(operation: .insert, oldRowid: 0, newRowid: id, new: [id, a, b]))
        rows[id] = [id, a, b]
    }

    func update(_ id: Int64, to newID: Int64? = nil, _ a: Int64, _ b: Int64) {
        guard let old = rows[id] else { return }
        let newID = newID ?? id
        send(Event(operation: .update, oldRowid: id, newRowid: newID, old: old, new: [newID, a, b]))
        rows[id] = nil
        rows[newID] = [newID, a, b]
    }

    func delete(_ id: Int64) {
        guard let old = rows[id] else { return }
        send(Event(operation: .delete, oldRowid: id, newRowid: 0, old: old))
        rows[id] = nil
    }

    private func send(_ event: Event) {
        if log.record(event, readBefore: { _, _, _ in false }) { return }
        log.learn(1, SQLName("t"), traits) { [trail] name, rows in
            trail.current.tables[name].map { rows.table(name, TableShape($0), isShadow: false) }
        }
        _ = log.record(event, readBefore: { _, _, _ in false })
    }

    // MARK: Savepoints

    // Only the model knows the names: the log is notified of a ROLLBACK TO without its savepoint.

    func savepoint(_ name: String) { savepoints.append((name, rows)) }

    func rollBack(to name: String) {
        guard let index = savepoints.lastIndex(where: { $0.name == name }) else { return }
        rows = savepoints[index].rows
        savepoints.removeSubrange((index + 1)...)
        log.statementEnds(failed: true, isRollbackTo: true)
    }

    func release(_ name: String) {
        guard let index = savepoints.lastIndex(where: { $0.name == name }) else { return }
        savepoints.removeSubrange(index...)
    }

    var savepointNames: [String] { savepoints.map(\.name) }

    // MARK: The end

    func changeSet() throws(SQLiteError) -> ChangeSet { try log.changeSet(trail, from: self) }

    /// The expected ``changeSet()``, from the contents only.
    var expected: [String] {
        let ids = Set(rows.keys).union(rowsBefore.keys).sorted()
        let (deletes, others) = (
            ids.filter { rows[$0] == nil },
            ids.filter { rows[$0] != nil && rows[$0] != rowsBefore[$0] }
        )
        func text(_ values: Values) -> String { "(\(values.map(String.init).joined(separator: ", ")))" }
        let deleted = deletes.map { "t: delete @\($0) \(text(rowsBefore[$0] ?? []))" }
        let updated = others.filter { rowsBefore[$0] != nil }.map { id in
            "t: update @\(id) \(text(rowsBefore[id] ?? [])) → \(text(rows[id] ?? []))"
        }
        let inserted = others.filter { rowsBefore[$0] == nil }.map { "t: insert @\($0) → \(text(rows[$0] ?? []))" }
        return deleted + updated + inserted
    }

    var expectedCounts: [String] {
        let inserted = rows.keys.count { rowsBefore[$0] == nil }
        let deleted = rowsBefore.keys.count { rows[$0] == nil }
        let updated = rows.count { entry in rowsBefore[entry.key].map { $0 != entry.value } ?? false }
        return inserted + updated + deleted == 0 ? [] : ["t: +\(inserted) ~\(updated) -\(deleted)"]
    }
}

extension ModelTransaction: RowSource {
    func readRow(_ key: RowKey, of shape: TableShape, into encoder: inout RecordEncoder) throws(SQLiteError) -> Bool? {
        guard case .rowid(let id) = key, let values = rows[id] else { return false }
        encoder.begin()
        for value in values { encoder.append(.integer(value)) }
        return true
    }

    func allRows(
        of table: SchemaSnapshot.Table,
        level: CaptureLevel,
        limits: CaptureLimits
    ) throws(SQLiteError) -> TableRows? { nil }

    func hasRows(_ table: SQLName) throws(SQLiteError) -> Bool { false }

    func recordReader() throws(SQLiteError) -> RecordReader { try RecordReader(encoding: .utf8) }
}
