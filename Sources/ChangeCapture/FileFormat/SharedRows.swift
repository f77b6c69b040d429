import SQLiteConnection

extension PageReader {
    /// Whether a row at the beginning of a tree is also at the beginning of a tree of another reader: then it is most likely the
    /// same table.
    ///
    /// It is evidence and no proof. Looks at the first leaf of each; trees without rows share none.
    ///
    /// - Parameters:
    ///   - root: the root page of the tree in this reader.
    ///   - newRoot: the root page of the tree in `other`.
    ///   - other: the reader of the other tree.
    ///   - fields: the fields that are compared; nil to compare the rows byte for byte.
    func sharesRows(
        ofTree root: Int64,
        withTree newRoot: Int64,
        in other: some PageReader,
        fields: [RenameEvidence.FieldPair]?
    ) -> Bool {
        do throws(WALDecodeError) {
            let rows = try firstLeafRows(ofTree: root, fields: fields?.map(\.before))
            if rows.isEmpty { return false }
            return try !rows.isDisjoint(with: other.firstLeafRows(ofTree: newRoot, fields: fields?.map(\.after)))
        } catch {
            // A page that cannot be read is no evidence; the decoder reads it again and reports the error.
            return false
        }
    }

    /// SQLite's own limit.
    private static var maxTreeDepth: Int { 20 }

    private func firstLeafRows(ofTree root: Int64, fields: [Int]?) throws(WALDecodeError) -> Set<LeafRow> {
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
                if let row = LeafRow(rowid: cell.rowid, page.localPayload(of: cell), fields) { rows.insert(row) }
            }
            return rows
        }
    }
}

private struct LeafRow: Hashable {
    /// 0 in a table without rowids.
    var rowid: Int64
    /// What is on the leaf itself, or the given fields of it.
    var content: [Content]

    enum Content: Hashable {
        case payload([UInt8])
        case null
        /// `DROP COLUMN` can store an integer of a REAL column as a floating-point number.
        case number(Double)
        case text([UInt8])
        case blob([UInt8])
    }

    /// Nil for a row that is no evidence: one that is too short, continues on other pages, or has only NULL in the fields.
    init?(rowid: Int64, _ payload: UnsafeRawBufferPointer, _ fields: [Int]?) {
        self.rowid = rowid
        guard let fields else {
            content = [.payload(Array(payload))]
            return
        }
        var header = RecordHeader()
        guard header.parse(payload), fields.allSatisfy({ $0 < header.fields.count }) else { return nil }
        let found = fields.map { header.fields[$0] }
        guard found.contains(where: { $0.type != .null }) else { return nil }
        content = found.map { field in
            let bytes = payload[field.offset..<field.offset + (field.type.byteCount ?? 0)]
            return switch BorrowedValue(field.type, UnsafeRawBufferPointer(rebasing: bytes)) {
            case .integer(let value): .number(Double(value))
            case .real(let value): .number(value)
            case .text(let bytes): .text(Array(bytes))
            case .blob(let bytes): .blob(Array(bytes))
            case .null, nil: .null
            }
        }
    }
}
