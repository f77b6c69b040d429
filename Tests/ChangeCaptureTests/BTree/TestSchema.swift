import ChangeCapture
import OracleSupport
import SQLiteConnection

/// The schema as the tests read it, only through SQL.
struct TestSchema {
    struct Table {
        var description: TableDescription
        var rootPage: UInt32
        var schemaRowid: Int64
    }

    var cookie: Int64
    var tables: [String: Table]
    var catalog: TreeCatalog

    init(_ connection: Connection) throws {
        func integer(_ value: SQLiteValue) -> Int64 {
            if case .integer(let value) = value { value } else { 0 }
        }
        func text(_ value: SQLiteValue) -> String {
            if case .text(let value) = value { value } else { "" }
        }
        let rows = try connection.query("SELECT type, name, rootpage, sql, rowid FROM sqlite_schema")
        cookie = integer(try connection.query("PRAGMA schema_version")[0][0])
        var withoutRowid: Set<String> = []
        for row in try connection.query("SELECT name FROM pragma_table_list WHERE wr AND schema = 'main'") {
            withoutRowid.insert(text(row[0]))
        }
        var tables: [String: Table] = [:]
        var trees: [TreeCatalog.Tree] = []
        for row in rows where integer(row[2]) > 0 {
            let name = text(row[1])
            let root = UInt32(integer(row[2]))
            guard text(row[0]) == "table", !name.hasPrefix("sqlite_") else {
                let kind: TreeCatalog.Kind = text(row[0]) == "table" ? .rowidTable : .index
                trees.append(TreeCatalog.Tree(rootPage: root, kind: kind, layout: nil))
                continue
            }
            let columns = try connection.query(
                "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?)",
                [row[1]]
            ).map { column in
                ColumnDescription(
                    name: text(column[0]),
                    type: text(column[1]),
                    isNotNull: integer(column[2]) != 0,
                    defaultSQL: column[3] == .null ? nil : text(column[3]),
                    primaryKeyOrdinal: Int(integer(column[4])),
                    visibility: .init(rawValue: Int(integer(column[5]))) ?? .normal
                )
            }
            let key = columns.indices.filter { columns[$0].primaryKeyOrdinal > 0 }
                .sorted { columns[$0].primaryKeyOrdinal < columns[$1].primaryKeyOrdinal }
            let hasRowid = !withoutRowid.contains(name)
            let isAlias = hasRowid && key.count == 1 && columns[key[0]].type.uppercased() == "INTEGER"
            let description = TableDescription(
                name: name,
                kind: .table,
                sql: text(row[3]),
                columns: columns,
                primaryKey: key,
                hasRowid: hasRowid,
                rowidAlias: isAlias ? key[0] : nil
            )
            let layout = TableLayout(
                description,
                fields: try Self.fields(of: description, connection),
                missingValues: try AddedColumns.missingValues(of: description)
            )
            tables[name] = Table(description: description, rootPage: root, schemaRowid: integer(row[4]))
            trees.append(
                TreeCatalog.Tree(
                    rootPage: root,
                    kind: hasRowid ? .rowidTable : .withoutRowidTable,
                    layout: layout
                )
            )
        }
        self.tables = tables
        let encoding: TextEncoding =
            switch text(try connection.query("PRAGMA encoding")[0][0]) {
            case "UTF-16le": .utf16LittleEndian
            case "UTF-16be": .utf16BigEndian
            default: .utf8
            }
        catalog = TreeCatalog(encoding: encoding, trees: trees)
    }

    private static func fields(of table: TableDescription, _ connection: Connection) throws -> RecordFields {
        if table.hasRowid { return RecordFields(ofRowidTable: table.columns) }
        let rows = try connection.query(
            """
            SELECT x.cid, x.key, l.name FROM pragma_index_list(?) AS l, pragma_index_xinfo(l.name) AS x
            WHERE l.origin = 'pk' ORDER BY x.seqno
            """,
            [.text(table.name)]
        )
        var columns: [Int] = []
        for case .integer(let column) in rows.map(\.[0]) { columns.append(Int(column)) }
        guard case .text(let index)? = rows.first?[2] else { return RecordFields(ofRowidTable: []) }
        return RecordFields(
            columns: columns,
            keyCount: rows.count { $0[1] != .integer(0) },
            keyIndex: SQLName(index)
        )
    }

    /// The changes that a client would receive: paired by name, and by the position in `sqlite_schema` for a rename.
    func changes(from before: TestSchema) -> [SchemaChange] {
        var changes: [SchemaChange] = []
        var survivors: Set<String> = []
        for (name, table) in tables {
            let renamed = before.tables.values.first {
                tables[$0.description.name] == nil && $0.schemaRowid == table.schemaRowid
                    && $0.rootPage == table.rootPage && $0.description.columns == table.description.columns
            }
            guard let previous = before.tables[name] ?? renamed else {
                changes.append(.created(table.description))
                continue
            }
            survivors.insert(previous.description.name)
            guard previous.description != table.description else { continue }
            changes.append(
                .modified(
                    SchemaChange.Modification(
                        table: table.description,
                        previousName: previous.description.name == name ? nil : previous.description.name,
                        columnSources: columnSources(from: previous.description, to: table.description)
                    )
                )
            )
        }
        for (name, table) in before.tables where !survivors.contains(name) {
            changes.append(.dropped(table.description))
        }
        return changes
    }

    private func columnSources(from before: TableDescription, to after: TableDescription) -> [Int?]? {
        let old = before.columns.map(\.name)
        let new = after.columns.map(\.name)
        guard old != new else { return nil }
        var sources = new.map { old.firstIndex(of: $0) }
        if old.count == new.count {
            let taken = Set(sources.compactMap { $0 })
            for index in sources.indices where sources[index] == nil && !taken.contains(index) {
                sources[index] = index
            }
        }
        return sources
    }
}
