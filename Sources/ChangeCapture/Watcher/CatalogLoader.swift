import SQLiteConnection

/// Reads the schema, as it is published and as the decoder needs it.
struct CatalogLoader {
    private var schema = SchemaSnapshot()
    private var defaults: DefaultValues
    /// Layouts by table, so that a change of one table costs no work for the others.
    private var layouts: [TableDescription: TableLayout] = [:]

    init() throws(SQLiteError) { defaults = try DefaultValues() }

    /// The catalog as the connection sees it, and what changed since the last call.
    mutating func load(from connection: Connection) throws(SQLiteError) -> (TreeCatalog, [SchemaChange]) {
        // First of all a statement that reads the schema table: the table-valued pragmas do not check by themselves whether
        // the schema is still the one they know.
        let roots = try readRoots(from: connection)
        let next = try SchemaSnapshot.load(from: connection, reusing: schema)
        let changes = SchemaDiff.changes(from: schema, to: next)
        schema = next
        var used: [TableDescription: TableLayout] = [:]
        let trees = roots.map { root -> TreeCatalog.Tree in
            guard root.isTable, let table = next[root.name], table.description.kind == .table else {
                return TreeCatalog.Tree(rootPage: root.page, kind: root.isTable ? root.kind : .index, layout: nil)
            }
            let description = table.description
            let kind: TreeCatalog.Kind = description.hasRowid ? .rowidTable : .withoutRowidTable
            if let owner = table.shadowOwner {
                let owner = next.tables[owner]?.description
                return TreeCatalog.Tree(rootPage: root.page, kind: kind, layout: nil, owner: owner)
            }
            let layout = layouts[description] ?? TableLayout(description) { defaults.value(of: $0) }
            used[description] = layout
            return TreeCatalog.Tree(rootPage: root.page, kind: kind, layout: layout)
        }
        layouts = used
        return (TreeCatalog(encoding: try readEncoding(from: connection), trees: trees), changes)
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

    private func readEncoding(from connection: Connection) throws(SQLiteError) -> TextEncoding {
        switch try connection.query("PRAGMA encoding").first?.first {
        case .text("UTF-16le"): .utf16LittleEndian
        case .text("UTF-16be"): .utf16BigEndian
        default: .utf8
        }
    }
}
