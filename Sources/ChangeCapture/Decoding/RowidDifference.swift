extension RowEmitter {
    /// Compares the leaves of a table that has rowids, merging both sides by rowid, and emits the differences.
    ///
    /// The old side holds the leaves that the commit wrote or freed, the new side the leaves that it wrote; rows that
    /// only moved between leaves are found on both sides and cancel out. Memory: 16 bytes per leaf.
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

    /// Merges two leaves until one of them is exhausted, and advances that cursor.
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

/// A position in a ``LeafSequence``: the next row to compare.
struct LeafCursor {
    private let leaves: [LeafSequence.Leaf]
    private var leafIndex = 0
    /// The next cell of the current leaf.
    private(set) var cellIndex = 0
    /// Rowids ascend strictly from cell to cell and from leaf to leaf, or the database is corrupt.
    private var lastRowid: Int64?

    init(_ sequence: LeafSequence) { leaves = sequence.leaves }

    /// The current leaf's page; nil at the end.
    var page: UInt32? { leafIndex < leaves.count ? leaves[leafIndex].page : nil }

    mutating func nextLeaf() {
        leafIndex += 1
        cellIndex = 0
    }

    /// The cell at the cursor, on the given page; nil after the last one.
    @inline(__always)
    func cell(on page: BTreePage) throws(WALDecodeError) -> Cell? {
        guard cellIndex < page.cellCount else { return nil }
        let cell = try page.cell(at: cellIndex)
        if let lastRowid, cell.rowid <= lastRowid { throw WALDecodeError(page: page.number, .rowidsOutOfOrder) }
        return cell
    }

    @inline(__always)
    mutating func advance(past cell: Cell) {
        lastRowid = cell.rowid
        cellIndex += 1
    }
}

/// Leaves of one table b-tree in the order of their rows.
///
/// The leaves of a tree cover ranges of rowids that do not overlap, so sorting the leaves sorts the rows: a commit of any
/// size is merged without a list of its cells.
struct LeafSequence {
    struct Leaf {
        var firstRowid: Int64
        var page: UInt32
    }

    private(set) var leaves: [Leaf] = []

    /// Keeps those of `pages` that are leaves with at least one row.
    init(_ pages: some Sequence<UInt32>, in reader: some PageReader) throws(WALDecodeError) {
        let format = reader.format
        for number in pages {
            try reader.withTreePage(number, format: format) { (page) throws(WALDecodeError) in
                guard page.kind.isTable else {
                    throw WALDecodeError(page: number, .wrongTreeKind(page.kind.rawValue))
                }
                guard page.kind == .leafTable, page.cellCount > 0 else { return }
                leaves.append(Leaf(firstRowid: try page.rowid(at: 0), page: number))
            }
        }
        leaves.sort { $0.firstRowid < $1.firstRowid }
    }
}
