/// A place in a ``LeafSequence``: the next row to look at.
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

    /// The cell at the cursor, whose page is given; nil behind the last one.
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
