import SQLiteConnection
import Testing

@testable import ChangeCapture

/// A sink that records all events; a test waits on it for expected ones.
final class EventLog: DatabaseEventSink {
    private let events = Monitor<[DatabaseEvent]>([])
    private let whenReceived: @Sendable (DatabaseEvent) -> Void

    init(whenReceived: @escaping @Sendable (DatabaseEvent) -> Void = { _ in }) { self.whenReceived = whenReceived }

    func receive(_ event: DatabaseEvent) {
        whenReceived(event)
        events.update { $0.append(event) }
    }

    var all: [DatabaseEvent] { events.withLock { $0 } }
    var transactions: [CapturedTransaction] {
        all.compactMap { if case .transaction(let transaction) = $0 { transaction } else { nil } }
    }

    /// Waits for a matching event; false when none arrives in time.
    func wait(
        atMost timeout: Duration = .seconds(30),
        for fits: (DatabaseEvent) -> Bool
    ) -> Bool {
        events.wait(atMost: timeout) { events in events.contains(where: fits) ? true : nil } ?? false
    }

    /// Waits until this number of transactions has arrived.
    func waitForTransactions(_ count: Int, atMost timeout: Duration = .seconds(30)) -> Bool {
        events.wait(atMost: timeout) { events in
            let transactions = events.filter { if case .transaction = $0 { true } else { false } }
            return transactions.count >= count ? true : nil
        } ?? false
    }
}

extension DatabaseEvent {
    var isBack: Bool { if case .databaseBack = self { true } else { false } }
    var isGone: Bool { if case .databaseGone = self { true } else { false } }

    func isEpoch(_ reason: EpochReason.Code) -> Bool {
        if case .epochChanged(let found) = self { found.code == reason } else { false }
    }

    func hasNotice(containing text: String) -> Bool {
        if case .notice(let notice) = self { notice.contains(text) } else { false }
    }

    /// Whether the transaction inserted this value into the first column of a table.
    func inserted(_ value: Int64) -> Bool {
        guard case .transaction(let transaction) = self else { return false }
        return transaction.changes.insertedIntegers.contains(value)
    }
}

extension ChangeSet {
    /// The first column of every row inserted.
    var insertedIntegers: [Int64] {
        var found: [Int64] = []
        for case .rows(let rows) in events {
            for row in rows.rows where row.operation == .insert {
                guard case .integer(let value)? = row.after?.values.first else { continue }
                found.append(value)
            }
        }
        return found
    }
}

/// Runs scripts of another process, each a transaction, and returns the lines that the watcher reports for each.
func reportedLines(_ setUp: String, journalMode: String = "wal", _ scripts: String...) throws -> [[String]] {
    let database = try TemporaryDatabase(setUp, journalMode: journalMode)
    let log = EventLog()
    let watcher = try DatabaseWatcher(path: database.path, sink: log)
    try watcher.start()
    let writer = try Connection(path: database.path, mode: .readWrite)
    writer.setBusyTimeout(.seconds(30))
    for (index, script) in scripts.enumerated() {
        try writer.execute("BEGIN IMMEDIATE; \(script); COMMIT")
        #expect(log.waitForTransactions(index + 1))
    }
    watcher.stop()
    #expect(log.all.allSatisfy { if case .epochChanged = $0 { false } else { true } })
    return log.transactions.map(\.changes.lines)
}
