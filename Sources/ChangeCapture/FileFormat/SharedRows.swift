extension PageReader {
    /// Whether a row at the beginning of a tree is, byte for byte, also at the beginning of a tree of another reader: then it is
    /// most likely the same table.
    ///
    /// It is evidence and no proof. Looks at the first leaf of each; trees without rows share none.
    ///
    /// - Parameters:
    ///   - root: the root page of the tree in this reader.
    ///   - newRoot: the root page of the tree in `other`.
    ///   - other: the reader of the other tree.
    func sharesRows(ofTree root: Int64, withTree newRoot: Int64, in other: some PageReader) -> Bool {
        do throws(WALDecodeError) {
            let rows = try firstLeafRows(ofTree: root)
            return try rows.isEmpty ? false : !rows.isDisjoint(with: other.firstLeafRows(ofTree: newRoot))
        } catch {
            // A page that cannot be read is no evidence; the decoder reads it again and reports the error.
            return false
        }
    }

    /// SQLite's own limit.
    private static var maxTreeDepth: Int { 20 }

    private func firstLeafRows(ofTree root: Int64) throws(WALDecodeError) -> Set<LeafRow> {
        guard var page = UInt32(exactly: root), page > 0 else { return [] }
        let format = format
        for _ in 0..<Self.maxTreeDepth {
            let child = try withTreePage(page, format: format) { (page) throws(WALDecodeError) in
                try page.firstChild()
            }
            guard let child else { break }
            page = child
        }
        return try withTreePage(page, format: format) { (page) throws(WALDecodeError) in
            guard !page.kind.isInterior else { return [] }
            var rows: Set<LeafRow> = []
            for index in 0..<page.cellCount {
                let cell = try page.cell(at: index)
                rows.insert(LeafRow(rowid: cell.rowid, payload: Array(page.localPayload(of: cell))))
            }
            return rows
        }
    }
}

private struct LeafRow: Hashable {
    /// 0 in a table without rowids.
    var rowid: Int64
    /// What is on the leaf itself.
    var payload: [UInt8]
}
