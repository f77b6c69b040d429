import Broadcast
package import ChangeCapture
package import WireProtocol

extension ChangeSet {
    /// The transaction as the messages that a subscriber with this filter gets, each as JSON: for following a file without
    /// a service.
    ///
    /// - Parameter timestamp: Unix milliseconds of the commit.
    package func messages(
        for filter: TableFilter,
        at position: Position,
        timestamp: Int64,
        context: TableEventContext,
        rowFilters: RowFilters? = nil
    ) -> [[UInt8]] {
        let messages = TransactionMessages(
            changes: self,
            position: position,
            timestamp: timestamp,
            context: context,
            rowFilters: rowFilters
        )
        return messages.messages(for: TableSubscription(filter)).map { $0.writer.bytes }
    }
}
