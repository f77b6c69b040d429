/// Collects the rows of one commit into ``TableRows``, and reduces what it keeps once its limits are reached.
package struct RowCollector: RowSink {
    private struct Table {
        var description: TableDescription
        var detail: CaptureLevel
        var isReduced = false
        /// The changes are unknown.
        var isUnknown = false
        /// The bytes kept.
        var byteCount = 0
        var inserted = 0
        var updated = 0
        var deleted = 0
        // Separate lists, because this is the order of publication.
        var deletes: [RowChange] = []
        var updates: [RowChange] = []
        var inserts: [RowChange] = []
    }

    /// The memory of a row besides its values: the header of its allocation, and its entry in the list.
    private static let bytesPerRow = 32 + MemoryLayout<RowChange>.stride / 2

    private var tables: [Table] = []
    private let level: CaptureLevel
    private let limits: CaptureLimits
    private var keptRows = 0
    private var keptBytes = 0

    package init(level: CaptureLevel = .values, limits: CaptureLimits = CaptureLimits()) {
        self.level = level
        self.limits = limits
    }

    /// One entry for each table that changed.
    package consuming func finish() -> [TableRows] {
        // A row that was compared can have turned out to be unchanged.
        tables.filter { $0.isUnknown || $0.inserted + $0.updated + $0.deleted > 0 }.map { table in
            if table.isUnknown { return TableRows(changedTable: table.description) }
            return TableRows(
                table: table.description,
                inserted: table.inserted,
                updated: table.updated,
                deleted: table.deleted,
                detail: table.detail,
                rows: Self.joined(table.deletes, table.updates, table.inserts),
                rowsOmitted: table.isReduced
            )
        }
    }

    /// Copies nothing when all rows are of one kind: then there can be very many.
    private static func joined(_ parts: [RowChange]...) -> [RowChange] {
        let filled = parts.filter { !$0.isEmpty }
        return filled.count == 1 ? filled[0] : filled.flatMap(\.self)
    }

    package mutating func level(for table: TableDescription, byteCount: Int) -> CaptureLevel {
        let index = entry(of: table)
        if tables[index].detail == .values, keptBytes + byteCount > limits.maxValueBytes { reduce(index, to: .keys) }
        if tables[index].detail > .counts, keptRows >= limits.maxRows { reduce(index, to: .counts) }
        return tables[index].detail
    }

    package mutating func receive(_ change: RowChange, of table: TableDescription) {
        let index = entry(of: table)
        let byteCount = Self.byteCount(of: change)
        keptRows += 1
        keptBytes += byteCount
        tables[index].byteCount += byteCount
        switch change.operation {
        case .insert: tables[index].inserts.collect(change)
        case .update: tables[index].updates.collect(change)
        case .delete: tables[index].deletes.collect(change)
        }
        add(change.operation, at: index)
    }

    package mutating func count(_ operation: RowChange.Operation, of table: TableDescription) {
        add(operation, at: entry(of: table))
    }

    package mutating func noteChange(of table: TableDescription) { tables[entry(of: table)].isUnknown = true }

    /// Reduces the detail of this table, including the rows already kept, because part of a table is of no use to a
    /// replica. Other tables can use the freed bytes.
    private mutating func reduce(_ index: Int, to detail: CaptureLevel) {
        tables[index].detail = detail
        tables[index].isReduced = true
        keptBytes -= tables[index].byteCount
        tables[index].byteCount = 0
        for rows in [\Table.deletes, \Table.updates, \Table.inserts] {
            if detail == .counts {
                keptRows -= tables[index][keyPath: rows].count
                tables[index][keyPath: rows] = []
            } else {
                let key = tables[index].description
                for position in tables[index][keyPath: rows].indices {
                    tables[index][keyPath: rows][position].reduceToKey(of: key)
                    tables[index].byteCount += Self.byteCount(of: tables[index][keyPath: rows][position])
                }
            }
        }
        keptBytes += tables[index].byteCount
    }

    private static func byteCount(of change: RowChange) -> Int {
        byteCount(of: change.before) + byteCount(of: change.after)
    }

    private static func byteCount(of row: Row?) -> Int { row.map { $0.byteCount + bytesPerRow } ?? 0 }

    private mutating func add(_ operation: RowChange.Operation, at index: Int) {
        switch operation {
        case .insert: tables[index].inserted += 1
        case .update: tables[index].updated += 1
        case .delete: tables[index].deleted += 1
        }
    }

    @inline(__always)
    private mutating func entry(of table: TableDescription) -> Int {
        // The rows of one table come together, so the table is nearly always the last one.
        if let last = tables.last, last.description.name.isIdentical(to: table.name) { return tables.count - 1 }
        return addEntry(for: table)
    }

    private mutating func addEntry(for table: TableDescription) -> Int {
        if let index = tables.firstIndex(where: { $0.description.name.isIdentical(to: table.name) }) { return index }
        tables.append(Table(description: table, detail: level))
        return tables.count - 1
    }
}

extension [RowChange] {
    /// The records of so many rows get one allocation, if they have no more bytes than this: an allocation for each would take
    /// twice the memory of short records.
    private static var rowsOfBlock: Int { 512 }
    private static var maxBytesOfBlock: Int { 128 << 10 }

    /// Appends a row. The last rows of a transaction with few rows keep an allocation each.
    fileprivate mutating func collect(_ change: RowChange) {
        append(change)
        if count % Self.rowsOfBlock == 0 { shareRecords(of: count - Self.rowsOfBlock..<count) }
    }

    private mutating func shareRecords(of range: Range<Int>) {
        let byteCount = self[range].reduce(0) { $0 + ($1.before?.byteCount ?? 0) + ($1.after?.byteCount ?? 0) }
        guard byteCount <= Self.maxBytesOfBlock else { return }
        var block: [UInt8] = []
        block.reserveCapacity(byteCount)
        for change in self[range] {
            change.before?.withRecord { block.append(contentsOf: $0) }
            change.after?.withRecord { block.append(contentsOf: $0) }
        }
        var start = 0
        func moved(_ row: Row) -> Row {
            defer { start += row.byteCount }
            return Row(sharing: block, bytes: start..<start + row.byteCount, count: row.count)
        }
        for index in range {
            self[index].before = self[index].before.map(moved)
            self[index].after = self[index].after.map(moved)
        }
    }
}

extension RowChange {
    /// Keeps only the primary key of the rows, and nothing where that is the rowid.
    mutating func reduceToKey(of table: TableDescription) {
        let isRowid = table.primaryKey.isEmpty || table.rowidAlias != nil
        before = isRowid ? nil : before?.selecting(table.primaryKey)
        after = isRowid ? nil : after?.selecting(table.primaryKey)
    }
}
