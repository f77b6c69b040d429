package import Broadcast
package import ChangeCapture
import LiveQueries
package import WireProtocol

/// A committed transaction as the hub keeps and sends it: encoded for each distinct subscription, never for each client.
package struct TransactionMessages: Sendable {
    /// A message with rows is split when its JSON grows beyond this, so that no frame is too large for a client. Each
    /// has the counts of its own rows.
    ///
    /// With its envelope it fits in 512 KiB: a buffer for more has 1 MiB.
    static let maxRowsMessageBytes = 508 << 10

    package let changes: ChangeSet
    package private(set) var position: Position
    /// Unix milliseconds of the commit.
    package let timestamp: Int64
    /// The origin, without the transaction.
    package let context: TableEventContext
    /// Evaluates the subscriptions' conditions.
    var rowFilters: RowFilters?
    /// The position with which it was first published, possibly before a restart: ids derive from it, so that a replay has
    /// the ids of the live messages.
    package let firstPosition: Position
    /// The approximate memory of the change set.
    package let byteCount: Int

    package init(
        changes: ChangeSet,
        position: Position,
        timestamp: Int64,
        context: TableEventContext,
        rowFilters: RowFilters? = nil,
        firstPosition: Position? = nil
    ) {
        self.changes = changes
        self.position = position
        self.timestamp = timestamp
        self.context = context
        self.rowFilters = rowFilters
        self.firstPosition = firstPosition ?? position
        byteCount = changes.byteCount
    }

    /// The messages for a subscription, in order; empty when the transaction does not concern it. Deterministic,
    /// including the ids.
    func messages(for subscription: TableSubscription) -> [EncodedMessage] {
        var rows = TransactionRows()
        return messages(for: subscription, &rows)
    }

    /// - Parameter rows: the rows encoded for other subscriptions, reused and extended.
    func messages(for subscription: TableSubscription, _ rows: inout TransactionRows) -> [EncodedMessage] {
        if subscription.filter.isForRelay { return relayMessages(subscription) }
        let parts = parts(for: subscription.filter, &rows.filtered)
        var messages = Messages(self, subscription, rows.writer.take() ?? JSONWriter(capacityBytes: 1024))
        defer { rows.writer = messages.writer }
        for (index, part) in parts.enumerated() {
            let isLast = index == parts.count - 1
            switch part {
            case .schema(let change): messages.append(change, isLast: isLast)
            case .rows(let changed):
                if Messages.lists(changed, subscription.filter) {
                    messages.append(changed, &rows, isLast: isLast)
                } else {
                    messages.appendCounts(of: changed, isLast: isLast)
                }
            case .filteredRows(let changed, let selection):
                messages.append(changed, matching: selection, &rows, isLast: isLast)
            case .missedRows(let table): messages.appendMissedRows(of: table, isLast: isLast)
            }
        }
        return messages.list
    }

    /// The part of a transaction for a subscription.
    private enum Part {
        case schema(SchemaChange)
        case rows(TableRows)
        /// The rows that the subscription's condition selects.
        case filteredRows(TableRows, FilteredRows.Selection)
        /// It is only known that other rows of the table are in the subscription than before.
        case missedRows(TableDescription)
    }

    private func parts(for filter: TableFilter, _ results: inout RowFilterResults) -> [Part] {
        var parts: [Part] = []
        var changed: [TableDescription] = []
        let visible = filter.hidesOtherTables ? changes.events(withoutOthersThan: filter) : changes.events
        for event in visible {
            if let table = Self.tableWithOtherRows(event, filter) { changed.append(table) }
            guard let event = permitted(event, filter, &results) else {
                // The rule is not known for its rows.
                if case .rows(let rows) = event, !filter.operations.isDisjoint(with: .rows) {
                    parts.append(.missedRows(rows.table))
                }
                continue
            }
            guard Self.includes(event, filter) else { continue }
            switch event {
            case .schema(let change): parts.append(.schema(change))
            case .rows(let rows): if let part = part(rows, filter, &results) { parts.append(part) }
            }
        }
        guard !changed.isEmpty else { return parts }
        let names = Set(changed.map(\.name))
        parts.removeAll { part in
            switch part {
            case .rows(let rows): names.contains(rows.table.name)
            case .filteredRows(let rows, _): names.contains(rows.table.name)
            case .missedRows(let table): names.contains(table.name)
            case .schema: false
            }
        }
        return parts + changed.map(Part.missedRows)
    }

    /// The event with only the rows that the filter's rule permits; nil when it is unknown which these are.
    private func permitted(
        _ event: ChangeEvent,
        _ filter: TableFilter,
        _ results: inout RowFilterResults
    ) -> ChangeEvent? {
        guard case .rows(let rows) = event, filter.includes(table: rows.table.name),
            let rule = filter.rule(for: rows.table.name)
        else { return event }
        return rowFilters?.permitted(rows, by: rule, at: position, &results).map { .rows($0) }
    }

    /// The rows of a table for a subscription; nil when none match its condition.
    private func part(_ rows: TableRows, _ filter: TableFilter, _ results: inout RowFilterResults) -> Part? {
        guard let condition = filter.condition else { return .rows(rows) }
        // The results are those of all rows, of which a rule leaves some.
        let filtered =
            filter.rule(for: rows.table.name) == nil
            ? rowFilters?.evaluate(rows, condition, at: position, &results) : rowFilters?.evaluate(rows, condition)
        guard let filtered, !filtered.isUnknown else { return .missedRows(rows.table) }
        // The operation is that of the transaction, whether the row entered, left or stayed.
        let operations = filtered.selection.operations
        return operations.contains { filter.operations.contains($0.tableOperation) }
            ? .filteredRows(rows, filtered.selection) : nil
    }

    /// The table of which a change of the schema brings other rows into the subscription, without changing them: it was renamed to a
    /// name that the filter includes, or a condition on its columns has another meaning.
    private static func tableWithOtherRows(_ event: ChangeEvent, _ filter: TableFilter) -> TableDescription? {
        guard case .schema(.modified(let modification)) = event, filter.includes(table: modification.table.name),
            !filter.operations.isDisjoint(with: .rows)
        else { return nil }
        let table = modification.table
        let hasEntered = modification.previousName.map { !filter.includes(table: $0) } ?? false
        let hasCondition = filter.condition != nil || filter.rule(for: table.name) != nil
        return hasEntered || (hasCondition && modification.isRedefined) ? table : nil
    }

    private static func includes(_ event: ChangeEvent, _ filter: TableFilter) -> Bool {
        switch event {
        case .schema(.created(let table)), .schema(.dropped(let table)):
            return filter.operations.contains(.schema) && filter.includes(table: table.name)
        case .schema(.modified(let modification)):
            return filter.operations.contains(.schema)
                && (filter.includes(table: modification.table.name)
                    || modification.previousName.map { filter.includes(table: $0) } ?? false)
        case .rows(let rows):
            guard filter.includes(table: rows.table.name) else { return false }
            if !rows.countsAreKnown { return !filter.operations.isDisjoint(with: .rows) }
            return rows.inserted > 0 && filter.operations.contains(.insert)
                || rows.updated > 0 && filter.operations.contains(.update)
                || rows.deleted > 0 && filter.operations.contains(.delete)
        }
    }
}

/// The messages of one transaction for one subscription, as they are created.
private struct Messages {
    private let transaction: TransactionMessages
    private let subscription: TableSubscription
    private(set) var list: [EncodedMessage] = []
    /// For one message after the other.
    private(set) var writer: JSONWriter

    private var filter: TableFilter { subscription.filter }

    /// - Parameter writer: its memory is used for the messages; its content is removed.
    init(_ transaction: TransactionMessages, _ subscription: TableSubscription, _ writer: JSONWriter) {
        self.transaction = transaction
        self.subscription = subscription
        self.writer = writer
    }

    private func context(isLast: Bool) -> TableEventContext {
        var context = transaction.context
        context.subscription = subscription.id
        context.transaction = .init(position: transaction.position, isLast: isLast)
        return context
    }

    /// The header of the next message: the id depends only on its place, so that it is the same in a replay.
    private func header(_ type: MessageType) -> EnvelopeHeader {
        let first = transaction.firstPosition
        // An interpolation takes several times as long.
        var id = ""
        id.reserveCapacity(first.epoch.utf8.count + subscription.id.utf8.count + 42)
        id += first.epoch
        id += ":"
        id += String(first.sequence)
        id += "/"
        id += subscription.id
        id += "/"
        id += String(list.count)
        return EnvelopeHeader(
            id: id,
            timestamp: transaction.timestamp,
            type: type,
            channel: .tables,
            position: transaction.position
        )
    }

    private mutating func append(_ type: MessageType, _ data: some JSONWritable, isLast: Bool) {
        writer.removeAll()
        writer.envelope(header(type), data)
        finish(type, isLast: isLast)
    }

    /// A client that has received the last message can resume after the transaction.
    private mutating func finish(_ type: MessageType, isLast: Bool) {
        let position = isLast ? transaction.position : nil
        list.append(EncodedMessage(writer, type: type, resumePosition: position, subscription: subscription.id))
    }
}

// MARK: - Schema

extension Messages {
    mutating func append(_ change: SchemaChange, isLast: Bool) {
        // SQL of the schema can name any table: in a view, a trigger or a foreign key.
        let hasSQL = !filter.hidesOtherTables
        switch change {
        case .created(let table):
            append(
                .tableCreated,
                TableCreatedPayload(
                    tableName: table.name,
                    timestamp: transaction.timestamp,
                    objectType: table.kind.objectType,
                    sql: hasSQL ? table.sql : nil,
                    columns: table.columns.map(ColumnPayload.init),
                    context: context(isLast: isLast)
                ),
                isLast: isLast
            )
        case .dropped(let table):
            append(
                .tableDropped,
                TableDroppedPayload(
                    tableName: table.name,
                    timestamp: transaction.timestamp,
                    objectType: table.kind.objectType,
                    context: context(isLast: isLast)
                ),
                isLast: isLast
            )
        case .modified(let modification):
            append(
                .tableModified,
                TableModifiedPayload(
                    tableName: modification.table.name,
                    timestamp: transaction.timestamp,
                    change: .schema(
                        SchemaModification(
                            previousName: modification.previousName,
                            sql: hasSQL ? modification.table.sql : nil,
                            columns: modification.table.columns.map(ColumnPayload.init),
                            columnSources: modification.columnSources,
                            objects: modification.objects.map { SchemaObjectPayload($0, withSQL: hasSQL) }
                        )
                    ),
                    context: context(isLast: isLast)
                ),
                isLast: isLast
            )
        }
    }
}

// MARK: - Rows

extension Messages {
    /// Whether a subscription with this filter receives the rows themselves, and not only their counts.
    static func lists(_ rows: TableRows, _ filter: TableFilter) -> Bool {
        filter.rowLevel != .none && rows.detail >= filter.rowLevel.captureLevel && !rows.rowsOmitted
    }

    /// Appends the rows of the requested operations.
    mutating func append(_ rows: TableRows, _ encodings: inout TransactionRows, isLast: Bool) {
        let wanted = filter.operations
        let listed = rows.rows.indices.lazy
            .filter { wanted.contains(rows.rows[$0].operation.tableOperation) }
            .map { ListedRow(index: $0, change: rows.rows[$0]) }
        guard encodings.areShared(rows) else { return appendUnshared(rows, listed, isLast: isLast) }
        append(rows, Array(listed), &encodings, isLast: isLast)
    }

    /// Appends several messages when one would be too large.
    private mutating func append(
        _ rows: TableRows,
        _ listed: [ListedRow],
        _ encodings: inout TransactionRows,
        isLast: Bool
    ) {
        let encoded = encodings.encode(rows, listed, filter.rowLevel, filter.rule(for: rows.table.name))
        let parts = encoded.parts(of: listed, maxBytes: TransactionMessages.maxRowsMessageBytes)
        for (place, part) in parts.enumerated() {
            append(
                rows.table,
                part.counts,
                { encoded.write(listed[part.range], to: &$0) },
                isLast: isLast && place == parts.count - 1
            )
        }
    }

    /// The same without keeping the rows of more than one message as JSON.
    private mutating func appendUnshared(_ rows: TableRows, _ listed: some Sequence<ListedRow>, isLast: Bool) {
        let writer = RowChangeWriter.of(rows, level: filter.rowLevel)
        var part = PartWriter(columnsOmitted: filter.rowLevel == .values ? rows.columnsOmitted : [])
        for row in listed {
            if part.byteCount >= TransactionMessages.maxRowsMessageBytes {
                append(rows.table, part, isLast: false)
                part.removeAll()
            }
            part.append(row, writer)
        }
        if part.byteCount > 0 { append(rows.table, part, isLast: isLast) }
    }

    private mutating func append(_ table: TableDescription, _ part: PartWriter, isLast: Bool) {
        append(table, part.counts, { part.write(to: &$0) }, isLast: isLast)
    }

    mutating func appendCounts(of rows: TableRows, isLast: Bool) {
        append(rows.table, counts(of: rows), nil, isLast: isLast)
    }

    /// Appends the rows that match the subscription's condition, each with how it crossed the condition.
    mutating func append(
        _ rows: TableRows,
        matching selection: FilteredRows.Selection,
        _ encodings: inout TransactionRows,
        isLast: Bool
    ) {
        guard filter.rowLevel == .none || encodings.areShared(rows) else {
            let wanted = filter.operations
            let listed = selection.entries.lazy.filter { wanted.contains($0.operation.tableOperation) }
                .map { ListedRow(index: $0.index, change: $0.change, crossing: $0.crossing) }
            return appendUnshared(rows, listed, isLast: isLast)
        }
        let parts = encodings.parts(of: rows, selection, filter)
        for (place, part) in parts.enumerated() {
            append(
                rows.table,
                part.counts,
                part.json.map { json in { $0.raw(json) } },
                isLast: isLast && place == parts.count - 1
            )
        }
    }

    /// It is only known that rows changed.
    mutating func appendMissedRows(of table: TableDescription, isLast: Bool) {
        let counts = RowsModification(inserted: 0, updated: 0, deleted: 0, rowsOmitted: true)
        append(table, counts, nil, isLast: isLast)
    }

    /// The counts of the requested operations.
    private func counts(of rows: TableRows) -> RowsModification {
        let wanted = filter.operations
        return RowsModification(
            inserted: wanted.contains(.insert) ? rows.inserted : 0,
            updated: wanted.contains(.update) ? rows.updated : 0,
            deleted: wanted.contains(.delete) ? rows.deleted : 0,
            rowsOmitted: filter.rowLevel != .none || !rows.countsAreKnown ? true : nil
        )
    }

    private mutating func append(
        _ table: TableDescription,
        _ counts: RowsModification,
        _ rows: ((inout JSONWriter) -> Void)?,
        isLast: Bool
    ) {
        let data = TableModifiedPayload(
            tableName: table.name,
            timestamp: transaction.timestamp,
            change: .rows(counts),
            context: context(isLast: isLast)
        )
        let header = header(.tableModified)
        writer.removeAll()
        writer.beginEnvelope(header)
        data.write(to: &writer, counts: counts, rows: rows)
        writer.endEnvelope()
        finish(.tableModified, isLast: isLast)
    }
}

extension TransactionMessages: Publication {
    package func renamed(to epoch: String) -> any Publication {
        var renamed = self
        renamed.position = Position(epoch: epoch, sequence: position.sequence)
        return renamed
    }

    package func encoder() -> any PublicationEncoder { Encoder(transaction: self) }

    private struct Encoder: PublicationEncoder {
        let transaction: TransactionMessages
        var rows = TransactionRows()

        mutating func messages(for subscription: TableSubscription) -> [EncodedMessage] {
            transaction.messages(for: subscription, &rows)
        }
    }
}

extension ChangeSet {
    /// The approximate memory.
    fileprivate var byteCount: Int {
        events.reduce(256) { sum, event in
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
