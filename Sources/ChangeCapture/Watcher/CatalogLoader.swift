import SQLiteConnection

/// Reads the schema, as it is published and as the decoder needs it.
struct CatalogLoader {
    /// The entry of a table that is stored, by which its layout is known.
    private struct Stored: Hashable {
        var table: TableDescription
        var fields: RecordFields
    }

    private var schema = SchemaSnapshot()
    /// Nil before the first schema is loaded.
    private(set) var records: RecordReader?
    /// Layouts by table, so that a change of one table costs no work for the others.
    private var layouts: [Stored: TableLayout] = [:]

    /// The catalog as the connection sees it, and what changed since the last call.
    ///
    /// - Parameter keepsContent: whether the table that had its root on the first page has it on the second one now.
    mutating func load(
        from connection: Connection,
        keepsContent: @escaping RenameEvidence.ContentCheck = { _, _ in false }
    ) throws(SQLiteError) -> (TreeCatalog, [SchemaChange]) {
        // First of all a statement that reads the schema table: the table-valued pragmas do not check by themselves whether
        // the schema is still the one they know.
        let roots = try readRoots(from: connection)
        let encoding = try TextEncoding.read(from: connection)
        let records = try recordReader(encoding)
        let next = try SchemaSnapshot.load(from: connection, reusing: schema)
        let identities = SchemaIdentities(from: schema, to: next, keepsContent: keepsContent)
        let changes = SchemaDiff.changes(from: schema, to: next, identities: identities)
        schema = next
        var used: [Stored: TableLayout] = [:]
        var trees: [TreeCatalog.Tree] = []
        for root in roots {
            guard root.isTable, let table = next[root.name], table.description.kind == .table else {
                trees.append(
                    TreeCatalog.Tree(rootPage: root.page, kind: root.isTable ? root.kind : .index, layout: nil)
                )
                continue
            }
            let kind: TreeCatalog.Kind = table.description.hasRowid ? .rowidTable : .withoutRowidTable
            if let owner = table.shadowOwner {
                let owner = next.tables[owner]?.description
                trees.append(TreeCatalog.Tree(rootPage: root.page, kind: kind, layout: nil, owner: owner))
                continue
            }
            let stored = Stored(table: table.description, fields: table.fields)
            let layout = layouts[stored] ?? Self.layout(of: stored, records)
            used[stored] = layout
            trees.append(TreeCatalog.Tree(rootPage: root.page, kind: kind, layout: layout))
        }
        layouts = used
        return (TreeCatalog(encoding: encoding, trees: trees), changes)
    }

    /// Whether a virtual table has content of its own: one without shadow tables shows that of others.
    func hasShadowTables(of table: TableDescription) -> Bool {
        schema.tables.values.contains { $0.shadowOwner == SQLName(table.name) }
    }

    private mutating func recordReader(_ encoding: TextEncoding) throws(SQLiteError) -> RecordReader {
        // The encoding is chosen with the first table.
        if let records, records.encoding == encoding { return records }
        let reader = try RecordReader(encoding: encoding)
        records = reader
        return reader
    }

    private static func layout(of stored: Stored, _ records: RecordReader) -> TableLayout {
        let missingValues: [SQLiteValue]?
        do throws(SQLiteError) {
            missingValues = try records.missingValues(stored.table, stored.fields)
        } catch {
            // Then rows of this table are reported as changed and omitted: see TableLayout.
            missingValues = nil
        }
        return TableLayout(stored.table, fields: stored.fields, missingValues: missingValues)
    }

    private struct Root {
        var name: String
        var page: UInt32
        var isTable: Bool
        /// Of a table that is not reported, such as SQLite's own.
        var kind: TreeCatalog.Kind { .rowidTable }
    }

    private func readRoots(from connection: Connection) throws(SQLiteError) -> [Root] {
        var statement = try connection.prepare("SELECT name, rootpage, type FROM sqlite_schema WHERE rootpage > 0")
        var roots: [Root] = []
        while try statement.step() {
            roots.append(
                Root(
                    name: statement.text(0) ?? "",
                    page: UInt32(clamping: statement.integer(1)),
                    isTable: statement.text(2) == "table"
                )
            )
        }
        return roots
    }
}
