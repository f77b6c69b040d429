extension RowEmitter {
    /// Compares the leaves of a table that has rowids, merging both sides by rowid, and emits what differs.
    ///
    /// Both sides hold the leaves that the commit wrote and, before it, those that it freed; the rows on them that only moved
    /// are found on both sides and cancel out. Memory: 16 bytes a leaf.
    mutating func compareByRowid<Sink: RowSink>(
        _ old: LeafSequence,
        in before: some PageReader,
        _ new: LeafSequence,
        in after: some PageReader,
        _ step: TableStep,
        _ sink: inout Sink
    ) throws(WALDecodeError) {
        let format = after.format
        var oldCursor = LeafCursor(old)
        var newCursor = LeafCursor(new)
        while let newLeaf = newCursor.page, let oldLeaf = oldCursor.page {
            try before.withTreePage(oldLeaf, format: format) { (oldPage) throws(WALDecodeError) in
                try after.withTreePage(newLeaf, format: format) { (newPage) throws(WALDecodeError) in
                    try merge(&oldCursor, oldPage, before, &newCursor, newPage, after, step, &sink)
                }
            }
        }
        while let leaf = oldCursor.page {
            try before.withTreePage(leaf, format: format) { (page) throws(WALDecodeError) in
                while let cell = try oldCursor.cell(on: page) {
                    try delete(cell, on: page, in: before, step, &sink)
                    oldCursor.advance(past: cell)
                }
            }
            oldCursor.nextLeaf()
        }
        while let leaf = newCursor.page {
            try after.withTreePage(leaf, format: format) { (page) throws(WALDecodeError) in
                while let cell = try newCursor.cell(on: page) {
                    try insert(cell, on: page, in: after, step, &sink)
                    newCursor.advance(past: cell)
                }
            }
            newCursor.nextLeaf()
        }
    }

    /// Merges two leaves until one of them is used up, and moves that cursor on.
    private mutating func merge<Sink: RowSink>(
        _ oldCursor: inout LeafCursor,
        _ oldPage: BTreePage,
        _ before: some PageReader,
        _ newCursor: inout LeafCursor,
        _ newPage: BTreePage,
        _ after: some PageReader,
        _ step: TableStep,
        _ sink: inout Sink
    ) throws(WALDecodeError) {
        var old = try oldCursor.cell(on: oldPage)
        var new = try newCursor.cell(on: newPage)
        while let oldCell = old, let newCell = new {
            if oldCell.rowid == newCell.rowid {
                try compare(
                    oldCell,
                    on: oldPage,
                    in: before,
                    newCell,
                    at: newCursor.cellIndex,
                    on: newPage,
                    in: after,
                    step,
                    &sink
                )
                oldCursor.advance(past: oldCell)
                newCursor.advance(past: newCell)
                old = try oldCursor.cell(on: oldPage)
                new = try newCursor.cell(on: newPage)
            } else if oldCell.rowid < newCell.rowid {
                try delete(oldCell, on: oldPage, in: before, step, &sink)
                oldCursor.advance(past: oldCell)
                old = try oldCursor.cell(on: oldPage)
            } else {
                try insert(newCell, on: newPage, in: after, step, &sink)
                newCursor.advance(past: newCell)
                new = try newCursor.cell(on: newPage)
            }
        }
        if old == nil { oldCursor.nextLeaf() }
        if new == nil { newCursor.nextLeaf() }
    }
}
