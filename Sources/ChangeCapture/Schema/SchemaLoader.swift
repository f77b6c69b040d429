package import SQLiteConnection

extension SchemaSnapshot {
    /// Reads the main schema in the connection's current transaction, or in a transaction of its own.
    ///
    /// - Parameters:
    ///   - connection: any connection of the database.
    ///   - previous: an earlier snapshot of the same database. Tables with an unchanged entry are taken over from it,
    ///     so that the cost is proportional to the change and not to the schema.
    package static func load(
        from connection: Connection,
        reusing previous: SchemaSnapshot? = nil
    ) throws(SQLiteError) -> SchemaSnapshot {
        // The table-valued pragmas below do not check whether another process changed the schema: reading the schema
        // table first makes the connection load the new one.
        let (entries, indexed) = try readEntries(from: connection)
        var snapshot = SchemaSnapshot(version: try readVersion(from: connection))
        if let previous, previous.version == snapshot.version, entries.contains(where: { previous.isOutdated(by: $0) })
        {
            // With `PRAGMA writable_schema` a writer can change the schema table without changing the cookie that
            // reveals it.
            try connection.execute("PRAGMA writable_schema = RESET")
        }
        let traits = try readTraits(from: connection)
        var columns: Statement?
        for entry in entries where entry.isTable {
            let name = entry.name
            // The columns of a view, and of a virtual table such as FTS4 with `content=`, follow those of other tables without a
            // change of their own entry.
            if let known = previous?.tables[name], known.isSame(as: entry), known.description.kind == .table {
                var table = known
                table.rootPage = entry.rootPage
                table.objects = []
                snapshot.tables[name] = table
            } else {
                let hasIndex = indexed.contains(entry.table.caseFolded)
                snapshot.tables[name] = try describe(entry, traits[name], hasIndex, &columns, connection)
            }
        }
        snapshot.markShadows(named: Set(traits.lazy.filter(\.value.isShadow).map(\.key)))
        // A trigger's entry spells the table's name as its CREATE TRIGGER did.
        let names = Dictionary(snapshot.tables.keys.map { ($0.caseFolded, $0) }) { first, _ in first }
        for entry in entries {
            guard let kind = SchemaChange.ObjectChange.Kind(rawValue: entry.type), let sql = entry.sql,
                let table = names[entry.table.caseFolded]
            else { continue }
            snapshot.tables[table]?.objects.append(Object(kind: kind, name: entry.name, sql: SQLName(sql)))
        }
        return snapshot
    }

    package static func readVersion(from connection: Connection) throws(SQLiteError) -> Int64 {
        guard case .integer(let version)? = try connection.query("PRAGMA main.schema_version").first?.first else {
            return 0
        }
        return version
    }

    /// One row of `sqlite_schema`.
    fileprivate struct Entry {
        var rowid: Int64
        var type: String
        var name: SQLName
        var table: SQLName
        var rootPage: Int64
        var sql: String?

        /// SQLite creates entries without SQL itself.
        var isTable: Bool { (type == "table" || type == "view") && sql != nil }
    }

    /// The rows of `sqlite_schema`, without those of SQLite itself, and the case-folded names of the tables with an index of
    /// their own definition: of a UNIQUE or PRIMARY KEY constraint.
    private static func readEntries(
        from connection: Connection
    ) throws(SQLiteError) -> (entries: [Entry], indexedTables: Set<SQLName>) {
        var statement = try connection.prepare(
            "SELECT rowid, type, name, tbl_name, rootpage, sql FROM main.sqlite_schema ORDER BY rowid"
        )
        var entries: [Entry] = []
        var indexed: Set<SQLName> = []
        while try statement.step() {
            let entry = Entry(
                rowid: statement.integer(0),
                type: statement.text(1) ?? "",
                name: SQLName(statement.text(2) ?? ""),
                table: SQLName(statement.text(3) ?? ""),
                rootPage: statement.integer(4),
                sql: statement.text(5)
            )
            // Only SQLite can create such names, whatever their case.
            if !entry.name.isReserved {
                entries.append(entry)
            } else if entry.type == "index" {
                indexed.insert(entry.table.caseFolded)
            }
        }
        return (entries, indexed)
    }

    /// Facts that only `PRAGMA table_list` reports.
    private struct Traits {
        var isShadow: Bool
        var isVirtual: Bool
        var isWithoutRowid: Bool
    }

    private static func readTraits(from connection: Connection) throws(SQLiteError) -> [SQLName: Traits] {
        var statement = try connection.prepare(
            "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main'"
        )
        var traits: [SQLName: Traits] = [:]
        while try statement.step() {
            traits[SQLName(statement.text(0) ?? "")] = Traits(
                isShadow: statement.text(1) == "shadow",
                isVirtual: statement.text(1) == "virtual",
                isWithoutRowid: statement.integer(2) != 0
            )
        }
        return traits
    }

    private static func describe(
        _ entry: Entry,
        _ traits: Traits?,
        _ hasIndex: Bool,
        _ columnsStatement: inout Statement?,
        _ connection: Connection
    ) throws(SQLiteError) -> Table {
        let isVirtual = traits?.isVirtual ?? (entry.type == "table" && entry.rootPage == 0)
        let kind: TableDescription.Kind = entry.type == "view" ? .view : isVirtual ? .virtual : .table
        let columns = try readColumns(of: entry.name, kind: kind, &columnsStatement, from: connection)
        let primaryKey = columns.indices
            .filter { columns[$0].primaryKeyOrdinal > 0 }
            .sorted { columns[$0].primaryKeyOrdinal < columns[$1].primaryKeyOrdinal }
        let hasRowid = kind == .table && traits?.isWithoutRowid != true
        let rowidAlias: Int? =
            if hasRowid, primaryKey.count == 1, columns[primaryKey[0]].isNamedInteger,
                hasIndex ? try !hasPrimaryKeyIndex(entry.name, connection) : true
            { primaryKey[0] } else { nil }
        let fields =
            hasRowid || kind != .table
            ? RecordFields(ofRowidTable: kind == .table ? columns : [])
            : try readFields(of: entry.name, columnCount: columns.count, from: connection)
        return Table(
            description: TableDescription(
                name: entry.name.string,
                kind: kind,
                sql: entry.sql ?? "",
                columns: columns,
                primaryKey: primaryKey,
                hasRowid: hasRowid,
                rowidAlias: rowidAlias
            ),
            fields: fields,
            schemaRowid: entry.rowid,
            rootPage: entry.rootPage,
            shadowOwner: nil,
            objects: []
        )
    }

    private static func readColumns(
        of name: SQLName,
        kind: TableDescription.Kind,
        _ statement: inout Statement?,
        from connection: Connection
    ) throws(SQLiteError) -> [ColumnDescription] {
        do throws(SQLiteError) {
            return try readColumns(of: name, &statement, from: connection)
        } catch {
            // A view on a dropped table and a virtual table of a missing module still exist; they have no columns.
            // Every table has columns.
            guard kind != .table, error.code.primary == .error else { throw error }
            return []
        }
    }

    /// - Parameter kept: compiled for the first table, and used for all.
    private static func readColumns(
        of name: SQLName,
        _ kept: inout Statement?,
        from connection: Connection
    ) throws(SQLiteError) -> [ColumnDescription] {
        var statement: Statement
        if let known = kept.take() {
            statement = known
        } else {
            statement = try connection.prepare(
                #"SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?, 'main') ORDER BY cid"#,
                persistent: true
            )
        }
        try statement.bind(.text(name.string), at: 1)
        var columns: [ColumnDescription] = []
        while try statement.step() {
            columns.append(
                ColumnDescription(
                    name: statement.text(0) ?? "",
                    type: statement.text(1) ?? "",
                    isNotNull: statement.integer(2) != 0,
                    defaultSQL: statement.text(3),
                    primaryKeyOrdinal: Int(statement.integer(4)),
                    visibility: .init(rawValue: Int(statement.integer(5))) ?? .normal
                )
            )
        }
        statement.reset()
        kept = consume statement
        return columns
    }

    /// For compatibility with old files `INTEGER PRIMARY KEY DESC` is not an alias of the rowid; only its index reveals
    /// that.
    private static func hasPrimaryKeyIndex(_ name: SQLName, _ connection: Connection) throws(SQLiteError) -> Bool {
        let rows = try connection.query(
            "SELECT 1 FROM pragma_index_list(?, 'main') WHERE origin = 'pk'",
            [.text(name.string)]
        )
        return !rows.isEmpty
    }

    /// The order in which a `WITHOUT ROWID` table stores its columns: that of its primary key's index.
    private static func readFields(
        of name: SQLName,
        columnCount: Int,
        from connection: Connection
    ) throws(SQLiteError) -> RecordFields {
        var index = try connection.prepare("SELECT name FROM pragma_index_list(?, 'main') WHERE origin = 'pk'")
        try index.bind(.text(name.string), at: 1)
        guard try index.step(), let keyIndex = index.text(0) else { throw unknownLayout(of: name) }
        var fields = try connection.prepare("SELECT cid, key FROM pragma_index_xinfo(?, 'main') ORDER BY seqno")
        try fields.bind(.text(keyIndex), at: 1)
        var columns: [Int] = []
        var keyCount = 0
        while try fields.step() {
            let column = Int(fields.integer(0))
            guard (0..<columnCount).contains(column) else { throw unknownLayout(of: name) }
            columns.append(column)
            if fields.integer(1) != 0 { keyCount += 1 }
        }
        guard keyCount > 0 else { throw unknownLayout(of: name) }
        return RecordFields(columns: columns, keyCount: keyCount, keyIndex: SQLName(keyIndex))
    }

    private static func unknownLayout(of name: SQLName) -> SQLiteError {
        SQLiteError(
            code: .corrupt,
            message: "the primary key of \(name.quoted) has no index that defines its storage order"
        )
    }
}

extension SchemaSnapshot {
    fileprivate func isOutdated(by entry: Entry) -> Bool {
        entry.isTable && tables[entry.name].map { !$0.isSame(as: entry) } ?? true
    }
}

extension SchemaSnapshot.Table {
    fileprivate func isSame(as entry: SchemaSnapshot.Entry) -> Bool {
        schemaRowid == entry.rowid && description.sql.isIdentical(to: entry.sql ?? "")
    }
}

extension ColumnDescription {
    fileprivate var isNamedInteger: Bool {
        SQLName.areEqualIgnoringCase(type.utf8, "integer".utf8)
    }
}

/// Reads the schema, in its published form and in the decoder's form.
struct CatalogLoader {
    /// The schema entry of a stored table, which determines its layout.
    private struct Stored: Hashable {
        var table: TableDescription
        var fields: RecordFields
    }

    private(set) var schema = SchemaSnapshot()
    /// Nil before the first schema is loaded.
    private(set) var records: RecordReader?
    /// Layouts by table, so that a change of one table costs nothing for the others.
    private var layouts: [Stored: TableLayout] = [:]

    /// The catalog as the connection sees it, and the changes since the last call.
    ///
    /// - Parameter keepsContent: whether the table that had its root on the first page has it on the second one now.
    mutating func load(
        from connection: Connection,
        keepsContent: @escaping RenameEvidence.ContentCheck = { _, _, _ in false }
    ) throws(SQLiteError) -> (TreeCatalog, [SchemaChange]) {
        // The first statement must read the schema table: the table-valued pragmas do not check whether their schema is
        // still current.
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
        // The encoding is fixed when the first table is created.
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
            // Rows of this table are then reported as changed and omitted: see TableLayout.
            missingValues = nil
        }
        return TableLayout(stored.table, fields: stored.fields, missingValues: missingValues)
    }

    private struct Root {
        var name: String
        var page: UInt32
        var isTable: Bool
        /// The kind of a table that is not reported, such as SQLite's own.
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
