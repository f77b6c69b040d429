import ChangeCapture
import WireProtocol

/// One committed transaction as its messages: made for each distinct filter, never for each client.
struct TransactionMessages: Sendable {
    /// A message of rows is cut into several when its JSON grows beyond this, so that no frame is too large for a client
    /// to take. Each has the counts of its own rows.
    static let maxRowsMessageBytes = 512 * 1024

    let changes: ChangeSet
    let position: Position
    /// Unix milliseconds of the commit.
    let timestamp: Int64
    /// Who did it, without the transaction.
    let context: TableEventContext

    struct Message: Sendable {
        let type: MessageType
        let writer: JSONWriter
    }

    /// What a subscriber with this filter gets, in order; empty when nothing of it concerns the subscriber.
    func messages(for filter: TableFilter) -> [Message] {
        let visible = filter.hidesOtherTables ? changes.events(withoutOthersThan: filter) : changes.events
        let events = visible.filter { Self.includes($0, filter) }
        var messages: [Message] = []
        messages.reserveCapacity(events.count)
        for (index, event) in events.enumerated() {
            let isLast = index == events.count - 1
            switch event {
            case .schema(let change): messages.append(message(change, filter, isLast: isLast))
            case .rows(let rows): append(rows, filter, isLast: isLast, to: &messages)
            }
        }
        return messages
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

    private func context(isLast: Bool) -> TableEventContext {
        var context = context
        context.transaction = .init(position: position, isLast: isLast)
        return context
    }

    private func message(_ type: MessageType, _ data: some JSONWritable) -> Message {
        var writer = JSONWriter(capacityBytes: 1024)
        writer.envelope(EnvelopeHeader(type, channel: .tables, position: position), data)
        return Message(type: type, writer: writer)
    }
}

// MARK: - Schema

extension TransactionMessages {
    private func message(_ change: SchemaChange, _ filter: TableFilter, isLast: Bool) -> Message {
        // SQL of the schema can name any table: a view's, a trigger's, a foreign key's.
        let hasSQL = !filter.hidesOtherTables
        return switch change {
        case .created(let table):
            message(
                .tableCreated,
                TableCreatedPayload(
                    tableName: table.name,
                    timestamp: timestamp,
                    objectType: table.kind.objectType,
                    sql: hasSQL ? table.sql : nil,
                    columns: table.columns.map(ColumnPayload.init),
                    context: context(isLast: isLast)
                )
            )
        case .dropped(let table):
            message(
                .tableDropped,
                TableDroppedPayload(
                    tableName: table.name,
                    timestamp: timestamp,
                    objectType: table.kind.objectType,
                    context: context(isLast: isLast)
                )
            )
        case .modified(let modification):
            message(
                .tableModified,
                TableModifiedPayload(
                    tableName: modification.table.name,
                    timestamp: timestamp,
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
                )
            )
        }
    }
}

// MARK: - Rows

extension TransactionMessages {
    private func append(_ rows: TableRows, _ filter: TableFilter, isLast: Bool, to messages: inout [Message]) {
        guard filter.rowLevel != .none, rows.detail >= filter.rowLevel.captureLevel, !rows.rowsOmitted else {
            messages.append(countsMessage(rows, filter, isLast: isLast))
            return
        }
        let listed = rows.rows.filter { filter.operations.contains($0.operation.tableOperation) }
        let columns = rows.table.columns
        let row = RowChangeWriter(
            rows.table,
            level: filter.rowLevel,
            detail: rows.detail,
            omitting: Set(columns.indices.filter { rows.columnsOmitted.contains(columns[$0].name) })
        )
        var next = 0
        while next < listed.count {
            // The elements of the array alone, with their commas.
            var json = JSONWriter(capacityBytes: 4096)
            var counts = RowsModification(inserted: 0, updated: 0, deleted: 0)
            if filter.rowLevel == .values, !rows.columnsOmitted.isEmpty {
                counts.columnsOmitted = rows.columnsOmitted
            }
            repeat {
                row.write(listed[next], to: &json)
                counts.count(listed[next].operation)
                next += 1
            } while next < listed.count && json.count < Self.maxRowsMessageBytes
            messages.append(rowsMessage(rows.table, counts, json.bytes, isLast: isLast && next == listed.count))
        }
    }

    /// The counts of the operations that were asked for.
    private func countsMessage(_ rows: TableRows, _ filter: TableFilter, isLast: Bool) -> Message {
        let wanted = filter.operations
        let counts = RowsModification(
            inserted: wanted.contains(.insert) ? rows.inserted : 0,
            updated: wanted.contains(.update) ? rows.updated : 0,
            deleted: wanted.contains(.delete) ? rows.deleted : 0,
            rowsOmitted: filter.rowLevel != .none || !rows.countsAreKnown ? true : nil
        )
        return rowsMessage(rows.table, counts, nil, isLast: isLast)
    }

    private func rowsMessage(
        _ table: TableDescription,
        _ counts: RowsModification,
        _ rowsJSON: [UInt8]?,
        isLast: Bool
    ) -> Message {
        let data = TableModifiedPayload(
            tableName: table.name,
            timestamp: timestamp,
            change: .rows(counts),
            context: context(isLast: isLast)
        )
        var writer = JSONWriter(capacityBytes: (rowsJSON?.count ?? 0) + 512)
        writer.beginEnvelope(EnvelopeHeader(.tableModified, channel: .tables, position: position))
        data.write(to: &writer, counts: counts, rows: rowsJSON.map { json in { $0.raw(json) } })
        writer.endEnvelope()
        return Message(type: .tableModified, writer: writer)
    }
}
