import SQLiteConnection

extension TableLog {
    /// The net effect of the transaction on the rows; nil when nothing changed.
    ///
    /// - Parameters:
    ///   - table: the table at the end of the transaction.
    ///   - level: the requested detail; limits can have reduced it.
    ///   - converted: rows from before the transaction, where the table had other columns then.
    func net(as table: TableDescription, level: CaptureLevel, converted: ConvertedRows) -> TableRows? {
        var result = TableRows(
            table: table,
            inserted: 0,
            updated: 0,
            deleted: 0,
            detail: .counts,
            rows: [],
            rowsOmitted: false
        )
        // An interrupt can have prevented reading the content of a row before it changed.
        let isBeforeLost = entries.indices.contains { entries[$0].before == .unread && converted[$0] == nil }
        guard !countsAreLost, !isBeforeLost else { return TableRows(changedTable: table) }
        if let counts {
            counts.fill(&result)
            result.rowsOmitted = level > .counts
            return result.inserted + result.updated + result.deleted > 0 ? result : nil
        }
        // False when a row could not be read, or its earlier content could not be converted to the table's columns.
        var isReportable = true
        func isBeforeKnown(_ entry: Int) -> Bool {
            entries[entry].before != .unread && (detail < .values || converted[entry] != .some(nil))
        }
        for entry in entries.indices {
            switch netOperation(entry, converted: converted) {
            case nil: continue
            case .insert:
                result.inserted += 1
                isReportable = isReportable && entries[entry].now != .unread
            case .update:
                result.updated += 1
                isReportable = isReportable && isBeforeKnown(entry) && entries[entry].now != .unread
            case .delete:
                result.deleted += 1
                isReportable = isReportable && isBeforeKnown(entry)
            }
        }
        guard result.inserted + result.updated + result.deleted > 0 else { return nil }
        guard level > .counts, detail > .counts else { return result }
        guard isReportable else {
            result.rowsOmitted = true
            return result
        }
        result.detail = min(level, detail)
        result.rowsOmitted = detail < level
        result.rows.reserveCapacity(result.inserted + result.updated + result.deleted)
        let kinds: [(RowChange.Operation, Int)] = [
            (.delete, result.deleted), (.update, result.updated), (.insert, result.inserted),
        ]
        for (kind, count) in kinds where count > 0 {
            for entry in entries.indices where netOperation(entry, converted: converted) == kind {
                result.rows.append(change(entry, kind, converted))
            }
        }
        return result
    }

    private func change(
        _ entry: Int,
        _ operation: RowChange.Operation,
        _ converted: ConvertedRows
    ) -> RowChange {
        let state = entries[entry]
        return RowChange(
            operation: operation,
            rowid: shape.table.hasRowid ? state.key : nil,
            before: operation == .insert ? nil : (converted[entry] ?? nil) ?? row(state, state.before),
            after: operation == .delete ? nil : row(state, state.now)
        )
    }

    private func row(_ entry: Entry, _ image: Image) -> Row? {
        if detail == .keys, !shape.table.hasRowid {
            return row(at: Int(entry.key), count: shape.identity.count)
        }
        return image.record.map { record in
            row(at: record, count: detail == .values ? shape.columnCount : shape.namedKey.count)
        }
    }

    private func row(at offset: Int, count: Int) -> Row {
        Row(sharing: arena.bytes, bytes: arena.range(at: offset), count: count)
    }
}
