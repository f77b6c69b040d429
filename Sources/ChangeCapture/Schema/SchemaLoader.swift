package import SQLiteConnection

extension SchemaSnapshot {
    /// Reads the main schema in the connection's current transaction, or in one of its own.
    ///
    /// - Parameters:
    ///   - connection: any connection of the database.
    ///   - previous: an earlier snapshot of the same database. Tables whose entry is the same are taken over from it, so that
    ///     a change costs by its own size and not by that of the schema.
    package static func load(
        from connection: Connection,
        reusing previous: SchemaSnapshot? = nil
    ) throws(SQLiteError) -> SchemaSnapshot {
        // The table-valued pragmas below do not check by themselves whether another process changed the schema: reading
        // the schema table first makes the connection load the new one.
        let entries = try readEntries(from: connection)
        var snapshot = SchemaSnapshot(version: try readVersion(from: connection))
        if let previous, previous.version == snapshot.version, entries.contains(where: { previous.isOutdated(by: $0) })
        {
            // `PRAGMA writable_schema` lets a writer change the schema table and not the cookie by which that is noticed.
            try connection.execute("PRAGMA writable_schema = RESET")
        }
        let traits = try readTraits(from: connection)
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
                snapshot.tables[name] = try describe(entry, traits[name], connection)
            }
        }
        snapshot.markShadows(named: Set(traits.lazy.filter(\.value.isShadow).map(\.key)))
        // A trigger's entry spells the table as its CREATE TRIGGER did.
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

        /// An entry without SQL is one that SQLite made by itself.
        var isTable: Bool { (type == "table" || type == "view") && sql != nil }
    }

    private static func readEntries(from connection: Connection) throws(SQLiteError) -> [Entry] {
        var statement = try connection.prepare(
            "SELECT rowid, type, name, tbl_name, rootpage, sql FROM main.sqlite_schema ORDER BY rowid"
        )
        var entries: [Entry] = []
        while try statement.step() {
            let entry = Entry(
                rowid: statement.integer(0),
                type: statement.text(1) ?? "",
                name: SQLName(statement.text(2) ?? ""),
                table: SQLName(statement.text(3) ?? ""),
                rootPage: statement.integer(4),
                sql: statement.text(5)
            )
            // SQLite refuses such names to anybody else, whatever their case.
            if !entry.name.isReserved { entries.append(entry) }
        }
        return entries
    }

    /// What `PRAGMA table_list` knows and no other pragma says.
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
        _ connection: Connection
    ) throws(SQLiteError) -> Table {
        let isVirtual = traits?.isVirtual ?? (entry.type == "table" && entry.rootPage == 0)
        let kind: TableDescription.Kind = entry.type == "view" ? .view : isVirtual ? .virtual : .table
        let columns = try readColumns(of: entry.name, kind: kind, from: connection)
        let primaryKey = columns.indices
            .filter { columns[$0].primaryKeyOrdinal > 0 }
            .sorted { columns[$0].primaryKeyOrdinal < columns[$1].primaryKeyOrdinal }
        let hasRowid = kind == .table && traits?.isWithoutRowid != true
        let rowidAlias: Int? =
            if hasRowid, primaryKey.count == 1, columns[primaryKey[0]].isNamedInteger,
                try !hasPrimaryKeyIndex(entry.name, connection)
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
        from connection: Connection
    ) throws(SQLiteError) -> [ColumnDescription] {
        do throws(SQLiteError) {
            return try readColumns(of: name, from: connection)
        } catch {
            // A view on a table that is gone and a virtual table of a module that is not there still exist; they have no
            // columns. Every table has.
            guard kind != .table, error.code.primary == .error else { throw error }
            return []
        }
    }

    private static func readColumns(
        of name: SQLName,
        from connection: Connection
    ) throws(SQLiteError) -> [ColumnDescription] {
        var statement = try connection.prepare(
            #"SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?, 'main') ORDER BY cid"#
        )
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
        return columns
    }

    /// `INTEGER PRIMARY KEY DESC` is, for the sake of old files, no other name for the rowid; only its index tells.
    private static func hasPrimaryKeyIndex(_ name: SQLName, _ connection: Connection) throws(SQLiteError) -> Bool {
        let rows = try connection.query(
            "SELECT 1 FROM pragma_index_list(?, 'main') WHERE origin = 'pk'",
            [.text(name.string)]
        )
        return !rows.isEmpty
    }

    /// The order in which a `WITHOUT ROWID` table keeps its columns: as the index of its primary key has them.
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
            message: "the primary key of \(name.quoted) has no index that says how it is stored"
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
