import SQLiteConnection

/// Reads the schema, in its published form and in the decoder's form.
struct CatalogLoader {
    private(set) var schema = SchemaSnapshot()
    private var isLoaded = false
    /// Nil before the first schema is loaded.
    private(set) var records: RecordReader?
    /// The trees of the schema's entries with a root page, in their order.
    private var trees: [TreeCatalog.Tree] = []
    /// By table, so that a change of one table costs nothing for the others.
    private var layouts: [SQLName: TableLayout] = [:]

    /// The catalog as the connection sees it, and the changes since the last call; none of the first call.
    ///
    /// - Parameter keepsContent: whether the table that had its root on the first page has it on the second one now.
    mutating func load(
        from connection: Connection,
        keepsContent: @escaping RenameEvidence.ContentCheck = { _, _, _ in false }
    ) throws(SQLiteError) -> (TreeCatalog, [SchemaChange]) {
        let next = try SchemaSnapshot.load(from: connection, reusing: schema)
        let encoding = try TextEncoding.read(from: connection)
        let records = try recordReader(encoding)
        var changes: [SchemaChange] = []
        // All tables of the first schema would be new.
        if isLoaded {
            let identities = SchemaIdentities(from: schema, to: next, keepsContent: keepsContent)
            changes = SchemaDiff.changes(from: schema, to: next, identities: identities)
        }
        isLoaded = true
        trees = makeTrees(of: next, records)
        schema = next
        return (TreeCatalog(encoding: encoding, trees: trees), changes)
    }

    /// Whether a virtual table has content of its own: one without shadow tables shows that of others.
    func hasShadowTables(of table: TableDescription) -> Bool {
        schema.tables.values.contains { $0.shadowOwner == SQLName(table.name) }
    }

    private mutating func recordReader(_ encoding: TextEncoding) throws(SQLiteError) -> RecordReader {
        // The encoding is fixed when the first table is created.
        if let records, records.encoding == encoding { return records }
        let reader = try RecordReader(encoding: encoding)
        records = reader
        return reader
    }

    /// The trees of all entries: those that did not change since ``schema`` are taken over.
    private mutating func makeTrees(of next: SchemaSnapshot, _ records: RecordReader) -> [TreeCatalog.Tree] {
        for name in schema.tables.keys where next.tables[name] == nil { layouts[name] = nil }
        var result: [TreeCatalog.Tree] = []
        result.reserveCapacity(trees.count + 1)
        let known = schema.entries.lazy.filter { $0.rootPage > 0 }
        var old = zip(known, trees).makeIterator()
        var candidate = old.next()
        for entry in next.entries where entry.rootPage > 0 {
            // Both are in the order of rowids.
            while let (other, _) = candidate, other.rowid < entry.rowid { candidate = old.next() }
            if let (other, tree) = candidate, other === entry, tree.owner == nil,
                entry.type != "table" || next.tables[entry.name] === schema.tables[entry.name]
            {
                result.append(tree)
            } else {
                result.append(tree(of: entry, in: next, records))
            }
        }
        return result
    }

    private mutating func tree(
        of entry: SchemaEntry,
        in next: SchemaSnapshot,
        _ records: RecordReader
    ) -> TreeCatalog.Tree {
        let root = UInt32(clamping: entry.rootPage)
        guard entry.type == "table" else { return TreeCatalog.Tree(rootPage: root, kind: .index, layout: nil) }
        guard let table = next.tables[entry.name], table.description.kind == .table else {
            // SQLite's own, which is not reported.
            return TreeCatalog.Tree(rootPage: root, kind: .rowidTable, layout: nil)
        }
        let kind: TreeCatalog.Kind = table.description.hasRowid ? .rowidTable : .withoutRowidTable
        if let owner = table.shadowOwner {
            layouts[entry.name] = nil
            let owner = next.tables[owner]?.description
            return TreeCatalog.Tree(rootPage: root, kind: kind, layout: nil, owner: owner)
        }
        return TreeCatalog.Tree(rootPage: root, kind: kind, layout: layout(of: table, records))
    }

    private mutating func layout(of table: SchemaSnapshot.Table, _ records: RecordReader) -> TableLayout {
        if let known = layouts[table.name], known.table == table.description, known.fields == table.fields {
            return known
        }
        let missingValues: [SQLiteValue]?
        do throws(SQLiteError) {
            missingValues = try records.missingValues(table.description, table.fields)
        } catch {
            // Rows of this table are then reported as changed and omitted: see TableLayout.
            missingValues = nil
        }
        let layout = TableLayout(table.description, fields: table.fields, missingValues: missingValues)
        layouts[table.name] = layout
        return layout
    }
}
