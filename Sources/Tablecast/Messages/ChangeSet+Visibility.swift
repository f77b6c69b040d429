import Broadcast
package import ChangeCapture
import NIOCore
package import WireProtocol

extension ChangeSet {
    /// The events for a subscriber that must not know of any table outside of its filter.
    ///
    /// A table that is renamed to a name outside of the filter is reported as dropped. One that is renamed to a name
    /// within it is reported as created, and its rows, which the subscriber has never received, must be read:
    /// `rowsOmitted`.
    func events(withoutOthersThan filter: TableFilter) -> [ChangeEvent] {
        var dropped: [ChangeEvent] = []
        var others: [ChangeEvent] = []
        var arrived: Set<String> = []
        for event in events {
            switch event {
            case .schema(.modified(let modification)):
                guard let previousName = modification.previousName else {
                    others.append(event)
                    continue
                }
                switch (filter.includes(table: previousName), filter.includes(table: modification.table.name)) {
                case (true, true):
                    others.append(event)
                case (true, false):
                    var table = modification.table
                    table.name = previousName
                    dropped.append(.schema(.dropped(table)))
                case (false, true):
                    arrived.insert(modification.table.name)
                    others.append(.schema(.created(modification.table)))
                    if modification.table.kind != .view { others.append(.rows(.unknown(of: modification.table))) }
                case (false, false):
                    continue
                }
            case .rows(let rows) where arrived.contains(rows.table.name):
                // This includes the earlier rows, which the subscriber could not see.
                continue
            default:
                others.append(event)
            }
        }
        return dropped + others
    }
}

extension TableRows {
    /// All rows of a table that the subscriber does not have.
    fileprivate static func unknown(of table: TableDescription) -> TableRows {
        TableRows(
            table: table,
            inserted: 0,
            updated: 0,
            deleted: 0,
            countsAreKnown: false,
            detail: .counts,
            rows: [],
            rowsOmitted: true
        )
    }
}

extension ChangeSet {
    /// The messages of the transaction for a subscriber with this filter, each as JSON: for watching a file without a
    /// service.
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
        return messages.messages(for: TableSubscription(filter)).map { Array($0.json.readableBytesView) }
    }
}
