import Broadcast
import ChangeCapture
import StateStore
import WireProtocol

/// A transaction from the state on disk, as the hub sends it to clients that resume: decoded only then.
struct StoredPublication: Publication {
    private let stored: StoredTransaction
    let position: Position
    let firstPosition: Position
    private let databaseName: String
    private let rowFilters: RowFilters

    var byteCount: Int { stored.record.payload.count + 256 }
    var timestamp: Int64 { stored.record.timestamp }

    /// Nil when the record cannot be decoded.
    ///
    /// - Parameters:
    ///   - position: its position now.
    ///   - firstPosition: the position with which it was published.
    init?(
        _ stored: StoredTransaction,
        position: Position,
        firstPosition: Position,
        databaseName: String,
        rowFilters: RowFilters
    ) {
        // The reason does not matter: the record's checksum is right, so another version has written it.
        guard (try? stored.content()) != nil else { return nil }
        self.stored = stored
        self.position = position
        self.firstPosition = firstPosition
        self.databaseName = databaseName
        self.rowFilters = rowFilters
    }

    func encoder() -> any PublicationEncoder {
        transaction()?.encoder() ?? NoMessages()
    }

    /// Nil never happens.
    func transaction() -> TransactionMessages? {
        // The initializer has decoded the same bytes.
        guard let content = try? stored.content() else { return nil }
        let changes = content.changes
        return TransactionMessages(
            changes: changes,
            position: position,
            timestamp: timestamp,
            context: TableEventContext(
                userID: content.userID,
                username: content.username,
                queryID: content.queryID,
                database: databaseName,
                origin: changes.origin == .service ? .service : .external
            ),
            rowFilters: rowFilters,
            firstPosition: firstPosition
        )
    }
}

private struct NoMessages: PublicationEncoder {
    mutating func messages(for subscription: TableSubscription) -> [EncodedMessage] { [] }
}
