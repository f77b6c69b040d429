package import SQLiteConnection

extension SchemaSnapshot {
    /// Reads the main schema in the connection's current transaction, or in a transaction of its own.
    ///
    /// - Parameters:
    ///   - connection: any connection of the database.
    ///   - previous: an earlier snapshot of the same database. Tables with unchanged entries are taken over from it, as the
    ///     same objects, so that the cost is proportional to the change and not to the schema.
    package static func load(
        from connection: Connection,
        reusing previous: SchemaSnapshot? = nil
    ) throws(SQLiteError) -> SchemaSnapshot {
        // The table-valued pragmas below do not check whether another process changed the schema: reading the schema
        // table first makes the connection load the new one.
        let (entries, difference) = try SchemaEntry.readAll(from: connection, since: previous?.entries ?? [])
        let version = try readVersion(from: connection)
        if let previous, previous.version == version, difference.added.contains(where: \.isTable) {
            // With `PRAGMA writable_schema` a writer can change the schema table without changing the cookie that
            // reveals it.
            try connection.execute("PRAGMA writable_schema = RESET")
        }
        var snapshot = previous ?? SchemaSnapshot()
        snapshot.version = version
        snapshot.entries = entries
        for entry in difference.removed where entry.isTable { snapshot.tables[entry.name] = nil }
        var objects: [SQLName: [Object]] = [:]
        var indexed: Set<SQLName> = []
        for entry in entries where difference.tables.contains(entry.table) {
            if let object = entry.object { objects[entry.table, default: []].append(object) }
            if entry.isIndexOfConstraint { indexed.insert(entry.table) }
        }
        let addedCount = difference.added.count { $0.isTable }
        var reader = TableReader(connection, readsAllTraits: addedCount > TableReader.maxTablesToAskFor)
        for entry in entries where entry.isTable {
            let known = snapshot.tables[entry.name]
            let isChanged = difference.tables.contains(entry.table)
            if let known, known.isDescribed(by: entry) {
                guard isChanged else { continue }
                snapshot.tables[entry.name] = known.with(
                    rootPage: entry.rootPage,
                    objects: objects[entry.table] ?? [],
                    shadowOwner: known.shadowOwner
                )
            } else {
                let (description, fields) = try reader.describe(entry, hasIndex: indexed.contains(entry.table))
                // A view is the same as long as its columns are.
                if !isChanged, let known, known.description == description { continue }
                snapshot.tables[entry.name] = Table(
                    description: description,
                    fields: fields,
                    schemaRowid: entry.rowid,
                    rootPage: entry.rootPage,
                    shadowOwner: nil,
                    objects: isChanged ? objects[entry.table] ?? [] : known?.objects ?? []
                )
            }
        }
        let hasVirtualTables = entries.contains { $0.isTable && $0.type == "table" && $0.rootPage == 0 }
        snapshot.markShadows(named: hasVirtualTables ? try reader.shadowTables() : [])
        return snapshot
    }

    package static func readVersion(from connection: Connection) throws(SQLiteError) -> Int64 {
        guard case .integer(let version)? = try connection.query("PRAGMA main.schema_version").first?.first else {
            return 0
        }
        return version
    }
}

extension SchemaSnapshot.Table {
    /// Whether the entry cannot have given the table another description. The columns of a view, and of a virtual table such
    /// as FTS4 with `content=`, follow those of other tables without a change of their own entry.
    fileprivate func isDescribed(by entry: SchemaEntry) -> Bool {
        description.kind == .table && schemaRowid == entry.rowid && description.sql.isIdentical(to: entry.sql ?? "")
    }
}

/// Describes tables by the pragmas of a connection that has loaded the schema.
private struct TableReader {
    /// Up to so many tables, the facts of each are asked for; of more, those of all tables are read at once.
    static let maxTablesToAskFor = 8

    /// Facts that only `PRAGMA table_list` reports.
    private struct Traits {
        var isVirtual: Bool
        var isWithoutRowid: Bool
    }

    private let connection: Connection
    private let readsAllTraits: Bool
    private var allTraits: [SQLName: Traits]?
    private var columnsQuery: KeptQuery?

    init(_ connection: Connection, readsAllTraits: Bool) {
        self.connection = connection
        self.readsAllTraits = readsAllTraits
    }

    /// The tables that SQLite treats as shadow tables.
    func shadowTables() throws(SQLiteError) -> Set<SQLName> {
        var statement = try connection.prepare(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow'"
        )
        var names: Set<SQLName> = []
        while try statement.step() { names.insert(SQLName(statement.text(0) ?? "")) }
        return names
    }

    /// - Parameter hasIndex: an index belongs to the table's own definition.
    mutating func describe(
        _ entry: SchemaEntry,
        hasIndex: Bool
    ) throws(SQLiteError) -> (TableDescription, RecordFields) {
        let traits = entry.type == "view" ? nil : try traits(of: entry.name)
        let isVirtual = traits?.isVirtual ?? (entry.type == "table" && entry.rootPage == 0)
        let kind: TableDescription.Kind = entry.type == "view" ? .view : isVirtual ? .virtual : .table
        let columns = try readColumns(of: entry.name, kind: kind)
        let primaryKey = columns.indices
            .filter { columns[$0].primaryKeyOrdinal > 0 }
            .sorted { columns[$0].primaryKeyOrdinal < columns[$1].primaryKeyOrdinal }
        let hasRowid = kind == .table && traits?.isWithoutRowid != true
        let rowidAlias: Int? =
            if hasRowid, primaryKey.count == 1, columns[primaryKey[0]].isNamedInteger,
                hasIndex ? try !hasPrimaryKeyIndex(entry.name) : true
            { primaryKey[0] } else { nil }
        let fields =
            hasRowid || kind != .table
            ? RecordFields(ofRowidTable: kind == .table ? columns : [])
            : try readFields(of: entry.name, columnCount: columns.count)
        let description = TableDescription(
            name: entry.name.string,
            kind: kind,
            sql: entry.sql ?? "",
            columns: columns,
            primaryKey: primaryKey,
            hasRowid: hasRowid,
            rowidAlias: rowidAlias
        )
        return (description, fields)
    }

    private mutating func traits(of name: SQLName) throws(SQLiteError) -> Traits? {
        guard readsAllTraits else { return try readTraits(of: name)[name] }
        if let allTraits { return allTraits[name] }
        let all = try readTraits(of: nil)
        allTraits = all
        return all[name]
    }

    /// - Parameter name: of a table; nil for all.
    private func readTraits(of name: SQLName?) throws(SQLiteError) -> [SQLName: Traits] {
        var statement = try connection.prepare(
            "SELECT name, type, wr FROM pragma_table_list\(name == nil ? "" : "(?)") WHERE schema = 'main'"
        )
        if let name { try statement.bind(.text(name.string), at: 1) }
        var traits: [SQLName: Traits] = [:]
        while try statement.step() {
            traits[SQLName(statement.text(0) ?? "")] = Traits(
                isVirtual: statement.text(1) == "virtual",
                isWithoutRowid: statement.integer(2) != 0
            )
        }
        return traits
    }

    private mutating func readColumns(
        of name: SQLName,
        kind: TableDescription.Kind
    ) throws(SQLiteError) -> [ColumnDescription] {
        do throws(SQLiteError) {
            return try readColumns(of: name)
        } catch {
            // A view on a dropped table and a virtual table of a missing module still exist; they have no columns.
            // Every table has columns.
            guard kind != .table, error.code.primary == .error else { throw error }
            return []
        }
    }

    private mutating func readColumns(of name: SQLName) throws(SQLiteError) -> [ColumnDescription] {
        let query: KeptQuery
        if let columnsQuery {
            query = columnsQuery
        } else {
            query = try KeptQuery(
                // Without ORDER BY, for which SQLite would make a sorter for each table.
                #"SELECT name, type, "notnull", dflt_value, pk, hidden, cid FROM pragma_table_xinfo(?, 'main')"#,
                on: connection
            )
            columnsQuery = query
        }
        var columns: [ColumnDescription] = []
        var places: [Int64] = []
        try query.forEachRow(of: name) { row in
            places.append(row.integer(6))
            columns.append(
                ColumnDescription(
                    name: row.text(0) ?? "",
                    type: row.text(1) ?? "",
                    isNotNull: row.integer(2) != 0,
                    defaultSQL: row.text(3),
                    primaryKeyOrdinal: Int(row.integer(4)),
                    visibility: .init(rawValue: Int(row.integer(5))) ?? .normal
                )
            )
        }
        // The pragma lists them in this order, though nothing promises it.
        let isSorted = zip(places, places.dropFirst()).allSatisfy { $0 < $1 }
        return isSorted ? columns : zip(places, columns).sorted { $0.0 < $1.0 }.map(\.1)
    }

    /// For compatibility with old files `INTEGER PRIMARY KEY DESC` is not an alias of the rowid; only its index reveals
    /// that.
    private func hasPrimaryKeyIndex(_ name: SQLName) throws(SQLiteError) -> Bool {
        let rows = try connection.query(
            "SELECT 1 FROM pragma_index_list(?, 'main') WHERE origin = 'pk'",
            [.text(name.string)]
        )
        return !rows.isEmpty
    }

    /// The order in which a `WITHOUT ROWID` table stores its columns: that of its primary key's index.
    private func readFields(of name: SQLName, columnCount: Int) throws(SQLiteError) -> RecordFields {
        var index = try connection.prepare("SELECT name FROM pragma_index_list(?, 'main') WHERE origin = 'pk'")
        try index.bind(.text(name.string), at: 1)
        guard try index.step(), let keyIndex = index.text(0) else { throw Self.unknownLayout(of: name) }
        var fields = try connection.prepare("SELECT cid, key FROM pragma_index_xinfo(?, 'main') ORDER BY seqno")
        try fields.bind(.text(keyIndex), at: 1)
        var columns: [Int] = []
        var keyCount = 0
        while try fields.step() {
            let column = Int(fields.integer(0))
            guard (0..<columnCount).contains(column) else { throw Self.unknownLayout(of: name) }
            columns.append(column)
            if fields.integer(1) != 0 { keyCount += 1 }
        }
        guard keyCount > 0 else { throw Self.unknownLayout(of: name) }
        return RecordFields(columns: columns, keyCount: keyCount, keyIndex: SQLName(keyIndex))
    }

    private static func unknownLayout(of name: SQLName) -> SQLiteError {
        SQLiteError(
            code: .corrupt,
            message: "the primary key of \(name.quoted) has no index that defines its storage order"
        )
    }
}

/// A query about one table, kept for the next table.
private final class KeptQuery {
    private var statement: Statement

    init(_ sql: String, on connection: Connection) throws(SQLiteError) {
        statement = try connection.prepare(sql, persistent: true)
    }

    func forEachRow(of name: SQLName, _ body: (borrowing Statement) -> Void) throws(SQLiteError) {
        defer { statement.reset() }
        try statement.bind(.text(name.string), at: 1)
        while try statement.step() { body(statement) }
    }
}

extension ColumnDescription {
    fileprivate var isNamedInteger: Bool {
        SQLName.areEqualIgnoringCase(type.utf8, "integer".utf8)
    }
}
