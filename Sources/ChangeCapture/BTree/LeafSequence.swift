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

    /// Keeps of `pages` those that are leaves with at least one row.
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
