/// Turns cells that differ into rows for a sink; decides whether two cells with the same key are a change.
///
/// Owns the buffers that are reused from cell to cell, and the commit's pages, and accounts for the overflow pages
/// among them.
struct RowEmitter {
    /// A cell whose bytes and first overflow page are equal on both sides, while the commit wrote pages of unknown
    /// role: they may belong to this cell's overflow chain.
    struct Suspect {
        var page: UInt32
        var cell: Int32
        var tree: Int32
    }

    /// Two records with more bytes than this together are not decoded only to check whether the rows are equal.
    private static let maxComparedBytes = 1 << 20
    private static let maxSuspects = 1 << 16

    var commit = CommitPages()
    private(set) var suspects: [Suspect] = []
    private var records = RecordDecoder()
    private let oldPayload = PayloadBuffer()
    private let newPayload = PayloadBuffer()

    mutating func takeSuspects() -> [Suspect] {
        defer { suspects.removeAll() }
        return suspects
    }

    mutating func insert(
        _ cell: Cell,
        on page: BTreePage,
        in after: some PageReader,
        _ step: TableStep,
        _ sink: inout some RowSink
    ) throws(WALDecodeError) {
        let level = sink.level(for: step.after.table, byteCount: cell.payloadLength)
        guard level > .counts else {
            sink.count(.insert, of: step.after.table)
            return
        }
        let row = level == .keys && step.keyIsRowid ? nil : try newRow(cell, on: page, in: after, step)
        let rowid = step.after.table.hasRowid ? cell.rowid : nil
        emit(RowChange(operation: .insert, rowid: rowid, before: nil, after: row), level, step, &sink)
    }

    mutating func delete(
        _ cell: Cell,
        on page: BTreePage,
        in before: some PageReader,
        _ step: TableStep,
        _ sink: inout some RowSink
    ) throws(WALDecodeError) {
        let level = sink.level(for: step.after.table, byteCount: cell.payloadLength)
        guard level > .counts else {
            sink.count(.delete, of: step.after.table)
            return
        }
        let row = level == .keys && step.keyIsRowid ? nil : try oldRow(cell, on: page, in: before, step)
        let rowid = step.before.table.hasRowid ? cell.rowid : nil
        emit(RowChange(operation: .delete, rowid: rowid, before: row, after: nil), level, step, &sink)
    }

    @inline(__always)
    private func emit(
        _ change: consuming RowChange,
        _ level: CaptureLevel,
        _ step: TableStep,
        _ sink: inout some RowSink
    ) {
        if level == .keys { change.reduceToKey(of: step.after.table) }
        sink.receive(change, of: step.after.table)
    }

    /// Handles two cells with the same key: emits an update if the rows differ.
    @inline(__always)
    mutating func compare(
        _ old: Cell,
        on oldPage: BTreePage,
        in before: some PageReader,
        _ new: Cell,
        at index: Int,
        on newPage: BTreePage,
        in after: some PageReader,
        _ step: TableStep,
        _ sink: inout some RowSink
    ) throws(WALDecodeError) {
        // Payloads of the same length keep the same number of bytes on the page.
        if step.mapping == nil, old.payloadLength == new.payloadLength,
            bytesAreEqual(oldPage.bytes, old.payloadOffset, newPage.bytes, new.payloadOffset, new.localLength)
        {
            if old.overflowPage == 0 { return }
            if old.overflowPage == new.overflowPage {
                if commit.unexplainedCount > 0 {
                    try suspect(new, at: index, on: newPage, before: before, after: after, step, &sink)
                }
                return
            }
            let newChain = OverflowChain(new, on: newPage.number)
            let oldChain = OverflowChain(old, on: oldPage.number)
            if try OverflowChain.haveEqualBytes(oldChain, in: before, newChain, in: after) {
                _ = try explain(newChain, in: after)
                return
            }
        }
        try update(old, on: oldPage, in: before, new, on: newPage, in: after, step, &sink)
    }

    /// Handles two cells with the same key whose payloads differ. The rows can be equal nevertheless: a value has
    /// several encodings.
    private mutating func update(
        _ old: Cell,
        on oldPage: BTreePage,
        in before: some PageReader,
        _ new: Cell,
        on newPage: BTreePage,
        in after: some PageReader,
        _ step: TableStep,
        _ sink: inout some RowSink
    ) throws(WALDecodeError) {
        let byteCount = old.payloadLength + new.payloadLength
        let level = sink.level(for: step.after.table, byteCount: byteCount)
        let rowid = step.after.table.hasRowid ? new.rowid : nil
        if level < .values,
            byteCount > Self.maxComparedBytes || areSurelyDifferent(old, on: oldPage, new, on: newPage, step)
        {
            if level == .counts {
                sink.count(.update, of: step.after.table)
                return
            }
            if step.keyIsRowid {
                emit(RowChange(operation: .update, rowid: rowid, before: nil, after: nil), level, step, &sink)
                return
            }
        }
        let oldRow = try oldRow(old, on: oldPage, in: before, step)
        let newRow = try newRow(new, on: newPage, in: after, step)
        guard oldRow != newRow else { return }
        // A row under another key is another row. The key can differ where only an overflow page of an equal cell did, and where
        // a type that was edited in the schema lets one stored key read differently.
        let isMoved =
            !step.after.table.hasRowid && (step.mapping != nil || new.overflowPage != 0)
            && oldRow.selecting(step.after.table.primaryKey) != newRow.selecting(step.after.table.primaryKey)
        guard level > .counts else {
            for operation in isMoved ? [RowChange.Operation.delete, .insert] : [.update] {
                sink.count(operation, of: step.after.table)
            }
            return
        }
        if isMoved {
            emit(RowChange(operation: .delete, rowid: nil, before: oldRow, after: nil), level, step, &sink)
            emit(RowChange(operation: .insert, rowid: nil, before: nil, after: newRow), level, step, &sink)
            return
        }
        emit(RowChange(operation: .update, rowid: rowid, before: oldRow, after: newRow), level, step, &sink)
    }

    /// Whether two payloads that differ have fields of the same types and lengths: then the rows differ as well, and
    /// need not be decoded to find that out.
    private func areSurelyDifferent(
        _ old: Cell,
        on oldPage: BTreePage,
        _ new: Cell,
        on newPage: BTreePage,
        _ step: TableStep
    ) -> Bool {
        // Different malformed UTF-16 can become the same UTF-8; and overflow pages are accounted for by reading them.
        guard step.mapping == nil, step.encoding == .utf8, old.payloadLength == new.payloadLength,
            new.overflowPage == 0
        else { return false }
        var offset = 0
        guard let headerSize = Varint.read(newPage.localPayload(of: new), at: &offset),
            headerSize <= UInt64(new.localLength)
        else { return false }
        let (oldOffset, newOffset) = (old.payloadOffset, new.payloadOffset)
        return bytesAreEqual(oldPage.bytes, oldOffset, newPage.bytes, newOffset, Int(headerSize))
    }

    // MARK: Overflow chains under cells that did not change

    /// Keeps the cell for a check after all other changes are known, or checks it now when too many are kept.
    mutating func suspect(
        _ cell: Cell,
        at index: Int,
        on page: BTreePage,
        before: some PageReader,
        after: some PageReader,
        _ step: TableStep,
        _ sink: inout some RowSink
    ) throws(WALDecodeError) {
        if suspects.count < Self.maxSuspects {
            suspects.append(Suspect(page: page.number, cell: Int32(index), tree: Int32(step.tree)))
        } else {
            try compareChains(of: cell, on: page, before: before, after: after, step, &sink)
        }
    }

    /// Handles a cell that is equal on both sides: emits an update if the commit changed its overflow chain.
    mutating func compareChains(
        of cell: Cell,
        on page: BTreePage,
        before: some PageReader,
        after: some PageReader,
        _ step: TableStep,
        _ sink: inout some RowSink
    ) throws(WALDecodeError) {
        let chain = OverflowChain(cell, on: page.number)
        guard cell.overflowPage != 0, try explain(chain, in: after),
            try !OverflowChain.haveEqualBytes(chain, in: before, chain, in: after)
        else { return }
        try update(cell, on: page, in: before, cell, on: page, in: after, step, &sink)
    }

    /// Accounts for the pages of a chain after the commit. True when one of them was not accounted for before.
    ///
    /// When the commit wrote the first page of an unchanged cell's chain, that page belongs to the chain on both sides,
    /// and so to no other cell: only this cell accounts for it.
    mutating func explain(_ chain: OverflowChain, in after: some PageReader) throws(WALDecodeError) -> Bool {
        let count = commit.unexplainedCount
        guard count > 0 else { return false }
        try chain.forEachPage(in: after) { (number, _) throws(WALDecodeError) in
            commit.explain(number)
            return true
        }
        return commit.unexplainedCount < count
    }

    // MARK: Rows

    private mutating func newRow(
        _ cell: Cell,
        on page: BTreePage,
        in after: some PageReader,
        _ step: TableStep
    ) throws(WALDecodeError) -> Row {
        let payload = try newPayload.payload(of: cell, on: page, in: after) { commit.explain($0) }
        guard let row = records.row(payload, rowid: cell.rowid, layout: step.after, encoding: step.encoding) else {
            throw WALDecodeError(page: page.number, .badRecord)
        }
        return row
    }

    private mutating func oldRow(
        _ cell: Cell,
        on page: BTreePage,
        in before: some PageReader,
        _ step: TableStep
    ) throws(WALDecodeError) -> Row {
        let payload = try oldPayload.payload(of: cell, on: page, in: before) { _ in }
        guard let row = records.row(payload, rowid: cell.rowid, layout: step.before, encoding: step.encoding) else {
            throw WALDecodeError(page: page.number, .badRecord)
        }
        return step.mapping.map { records.row(row, mappedBy: $0) } ?? row
    }
}

/// Receives the rows of a commit one by one as they are decoded, so that a commit of any size needs little memory.
///
/// All rows of one table come together, except the rows of which only overflow pages changed: these come at the end.
/// Within a `WITHOUT ROWID` table deletions come first, so that a key which is equal under the column's collation can
/// be inserted again.
package protocol RowSink {
    /// The detail that the sink wants of a change whose records before and after have `byteCount` bytes together.
    mutating func level(for table: TableDescription, byteCount: Int) -> CaptureLevel

    /// A change with the wanted detail, `keys` or `values`.
    mutating func receive(_ change: RowChange, of table: TableDescription)

    /// A change of which the sink wants only the count.
    mutating func count(_ operation: RowChange.Operation, of table: TableDescription)

    /// Rows of a virtual table may have changed: only its module knows how to read them.
    mutating func noteChange(of table: TableDescription)
}

extension TableComparison {
    /// The virtual tables whose content, which is in their shadow tables, changed.
    ///
    /// Changed overflow pages are ignored: no module writes one without a leaf.
    func changedVirtualTables(_ commit: CommitPages) throws(WALDecodeError) -> [TableDescription] {
        var names: Set<SQLName> = []
        for page in commit.pages {
            let old = page.oldTree < 0 ? nil : oldCatalog.trees[Int(page.oldTree)].owner.map { SQLName($0.name) }
            let new = page.newTree < 0 ? nil : newCatalog.trees[Int(page.newTree)].owner.map { SQLName($0.name) }
            if old == nil, new == nil { continue }
            // SQLite repeats frames to fill up a sector.
            if old == new, try before.isPage(page.number, equalIn: after) { continue }
            names.formUnion([old, new].compactMap(\.self))
        }
        for page in commit.freed {
            if let owner = oldCatalog.trees[Int(page.oldTree)].owner { names.insert(SQLName(owner.name)) }
        }
        if names.isEmpty { return [] }
        var changed: [SQLName: TableDescription] = [:]
        for case let owner? in newCatalog.trees.lazy.map(\.owner) where names.contains(SQLName(owner.name)) {
            changed[SQLName(owner.name)] = owner
        }
        return changed.sorted { $0.key < $1.key }.map(\.value)
    }
}
