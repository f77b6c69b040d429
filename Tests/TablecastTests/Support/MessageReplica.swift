import SQLiteConnection
import Tablecast
import Testing
import WireProtocol

/// Tables built only from the messages of one client. Strict: a message that does not match the previous ones is an
/// error.
struct MessageReplica {
    /// A row by its rowid, or by its key when the table has no rowids.
    private enum Identity: Hashable {
        case rowid(Int64)
        case key([String: WireValue])
    }

    private(set) var position: Position?
    private var tables: [String: [Identity: [String: WireValue]]] = [:]
    private(set) var mismatches: [String] = []
    private(set) var transactions = 0
    /// Tables whose snapshot is complete.
    private(set) var completeTables = 0
    private var isWithinTransaction = false
    /// False with a filter: transactions that do not concern it are not a gap.
    private let checksGaps: Bool

    init(checksGaps: Bool = true) { self.checksGaps = checksGaps }

    mutating func complain(_ text: String) { mismatches.append(text) }

    mutating func apply(_ message: Envelope) {
        switch message.payload {
        case .tableSnapshot(let snapshot): apply(snapshot, message)
        case .tableModified(let change):
            if case .rows(let rows) = change.change { apply(rows, change.tableName) }
            note(message, change.context.transaction)
        case .tableCreated(let created):
            tables[created.tableName] = [:]
            note(message, created.context.transaction)
        case .tableDropped(let dropped):
            tables[dropped.tableName] = nil
            note(message, dropped.context.transaction)
        default: break
        }
    }

    /// Positions must be consecutive, without gap or repetition.
    private mutating func note(_ message: Envelope, _ transaction: TableEventContext.Transaction?) {
        guard let transaction, let now = message.header.position, transaction.position == now else {
            mismatches.append("a message without its transaction: \(message.header)")
            return
        }
        if checksGaps, let position, !isWithinTransaction, now != position.next {
            mismatches.append("\(now) follows \(position)")
        }
        if isWithinTransaction, now != position {
            mismatches.append("\(now) within \(position.map { "\($0)" } ?? "-")")
        }
        if !isWithinTransaction { transactions += 1 }
        position = now
        isWithinTransaction = !transaction.isLast
    }

    private mutating func apply(_ snapshot: TableSnapshotPayload, _ message: Envelope) {
        position = message.header.position
        if snapshot.isLast { completeTables += 1 }
        for (index, row) in snapshot.rows.enumerated() {
            guard case .object(let values) = row else { continue }
            let identity: Identity
            if let rowids = snapshot.rowids {
                identity = .rowid(rowids[index])
            } else if case .integer(let rowid)? = values["id"] {
                identity = .rowid(rowid)
            } else {
                identity = .key(values.filter { $0.key == "k" })
            }
            tables[snapshot.tableName, default: [:]][identity] = values
        }
    }

    private mutating func apply(_ rows: RowsModification, _ table: String) {
        guard let changes = rows.rows else {
            mismatches.append("no rows for \(table)")
            return
        }
        for change in changes {
            let identity: Identity = change.rowid.map { .rowid($0) } ?? .key(change.key)
            let known = tables[table]?[identity]
            if known != change.before {
                mismatches.append("\(table) \(change.key): had \(known ?? [:]), message says \(change.before ?? [:])")
            }
            tables[table, default: [:]][identity] = change.after
        }
    }

    func contains(in table: String, _ column: String, _ value: WireValue) -> Bool {
        tables[table]?.values.contains { $0[column] == value } ?? false
    }

    /// The rows without an order, for comparison with those of the database.
    func rows(of table: String) -> Set<[String: WireValue]> {
        Set((tables[table] ?? [:]).values)
    }
}

extension Connection {
    /// The rows of a table as a client would see them.
    func wireRows(of table: String) throws -> Set<[String: WireValue]> {
        var rows: Set<[String: WireValue]> = []
        var statement = try prepare("SELECT * FROM \"\(table)\"")
        while try statement.step() {
            var row: [String: WireValue] = [:]
            for column in 0..<statement.columnCount {
                row[statement.columnName(column)] = WireValue(statement.value(column))
            }
            rows.insert(row)
        }
        return rows
    }
}
