import SQLiteConnection
import Synchronization

@testable import ChangeCapture

/// Applies a watcher's events to a ``Replica`` and compares it with SQLite at commit boundaries.
final class OracleSink: SnapshotSink, @unchecked Sendable {
    // Everything below is used only by the watcher's thread while it runs, and by the test before its start and after
    // its end; the state that the test waits for is in `ledger`.
    var replica: Replica
    private(set) var events: [DatabaseEvent] = []
    private(set) var transactions = 0
    private(set) var digests = 0
    private(set) var doubleLedgerRows = 0

    /// The transactions in the order reported, by the row that each added to the ledger.
    struct Entry: Hashable, Sendable {
        var writer: Int64
        var sequence: Int64
    }

    private let ledger = Monitor<[Entry]>([])
    private let digestEvery: Int
    /// Called for each transaction, before anything else.
    private let whenReceived: @Sendable (CapturedTransaction) -> Void

    /// - Parameter digestEvery: the number of transactions between two full comparisons; 0 never does.
    init(digestEvery: Int = 1, whenReceived: @escaping @Sendable (CapturedTransaction) -> Void = { _ in }) throws {
        replica = Replica()
        self.digestEvery = digestEvery
        self.whenReceived = whenReceived
    }

    func receive(_ transaction: CapturedTransaction, at snapshot: SnapshotCursor) {
        whenReceived(transaction)
        transactions += 1
        replica.apply(transaction.changes)
        if digestEvery > 0, transactions % digestEvery == 0 {
            digests += 1
            do {
                try replica.verify(against: snapshot.connection, "transaction \(transactions)")
            } catch {
                events.append(.notice("cannot verify: \(error)"))
            }
        }
        note(transaction.changes)
    }

    func receive(_ event: DatabaseEvent) {
        if case .transaction(let transaction) = event {
            whenReceived(transaction)
            transactions += 1
            replica.apply(transaction.changes)
            note(transaction.changes)
        } else {
            events.append(event)
            ledger.update { _ in }
        }
    }

    private func note(_ changes: ChangeSet) {
        var entries: [Entry] = []
        for case .rows(let rows) in changes.events where rows.table.name == "ledger" {
            for row in rows.rows where row.operation == .insert {
                guard let values = row.after?.values, case .integer(let writer) = values[1],
                    case .integer(let sequence) = values[2]
                else { continue }
                entries.append(Entry(writer: writer, sequence: sequence))
            }
        }
        if entries.count > 1 { doubleLedgerRows += 1 }
        if !entries.isEmpty { ledger.update { $0 += entries } }
    }

    /// Waits until the transaction that added this row to the ledger was reported.
    func wait(for entry: Entry, atMost timeout: Duration = .seconds(120)) -> Bool {
        ledger.wait(atMost: timeout) { $0.contains(entry) ? true : nil } ?? false
    }

    var reported: [Entry] { ledger.withLock { $0 } }
}
