import Broadcast
import ChangeCapture
import WireProtocol

/// A committed transaction as the hub keeps and sends it.
struct TransactionPublication: Publication {
    let transaction: TransactionMessages

    var position: Position { transaction.position }

    let byteCount: Int

    init(_ transaction: TransactionMessages) {
        self.transaction = transaction
        byteCount = Self.byteCount(of: transaction.changes)
    }

    var timestamp: Int64 { transaction.timestamp }

    func encoder() -> any PublicationEncoder { Encoder(transaction: transaction) }

    private struct Encoder: PublicationEncoder {
        let transaction: TransactionMessages
        var rows = TransactionRows()

        mutating func messages(for subscription: TableSubscription) -> [EncodedMessage] {
            let messages = transaction.messages(for: subscription, &rows)
            return messages.enumerated().map { index, message in
                EncodedMessage(
                    message.writer,
                    type: message.type,
                    resumePosition: index == messages.count - 1 ? transaction.position : nil
                )
            }
        }
    }

    /// About what the change set takes in memory.
    private static func byteCount(of changes: ChangeSet) -> Int {
        changes.events.reduce(256) { sum, event in
            switch event {
            case .schema(let change): sum + change.byteCount
            case .rows(let rows):
                rows.rows.reduce(sum + 256) { $0 + 96 + ($1.before?.byteCount ?? 0) + ($1.after?.byteCount ?? 0) }
            }
        }
    }
}

extension SchemaChange {
    fileprivate var byteCount: Int {
        switch self {
        case .created(let table), .dropped(let table): table.byteCount
        case .modified(let modification):
            modification.objects.reduce(modification.table.byteCount) { $0 + 128 + ($1.sql?.utf8.count ?? 0) }
        }
    }
}

extension TableDescription {
    fileprivate var byteCount: Int { 256 + sql.utf8.count + columns.count * 96 }
}
