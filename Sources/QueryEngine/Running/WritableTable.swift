import SQLiteConnection

/// Identifies a row for the duration of a transaction.
enum RowIdentity {
    case rowid(Int64)
    /// The values of the primary key of a WITHOUT ROWID table, in key order.
    case key([SQLiteValue])

    var rowid: Int64? {
        if case .rowid(let rowid) = self { rowid } else { nil }
    }
}

/// An ordinary table of the main database: the facts that are needed to write one of its rows.
struct WritableTable {
    struct Column {
        var name: String
        var isGenerated: Bool
        /// Its position in the primary key, from 1; 0 for other columns.
        var keyPlace: Int64
        var isInteger: Bool
    }

    struct Condition {
        var sql: String
        var values: [SQLiteValue]
    }

    /// The name as created.
    let name: String
    let isWithoutRowid: Bool
    let columns: [Column]
    /// In key order.
    private let keyColumns: [Column]
    /// The name by which SQL reaches the rowid; nil when columns have taken all its names.
    private let rowidName: String?

    init(_ name: String, policy: SQLPolicy, _ guarded: GuardedConnection) throws {
        // This precedes every check that reveals whether the table exists.
        if policy.level == .readOnly {
            throw QueryFailure(.readOnly, "the access is read-only: writing a row is not allowed")
        }
        for allowed in [policy.readableTables, policy.writableTables] {
            if let allowed, !allowed.contains(name) {
                throw QueryFailure(.notAuthorized, "writing to the table \(name) is not allowed")
            }
        }
        // SQLite would look for the name up to there.
        guard !name.utf8.contains(0) else { throw QueryFailure(.sqlError, "no such table: \(name)") }
        let connection = guarded.connection
        let (found, read) = try guarded.authorizer.unguarded {
            () throws(SQLiteError) -> ([[SQLiteValue]], [[SQLiteValue]]) in
            (
                try connection.query(
                    "SELECT name, type, wr FROM pragma_table_list(?1) WHERE schema = 'main'",
                    [.text(name)]
                ),
                try connection.query(
                    "SELECT name, hidden, pk, upper(type) = 'INTEGER' FROM pragma_table_xinfo(?1, 'main')",
                    [.text(name)]
                )
            )
        }
        guard let row = found.first, case .text(let stored) = row[0], case .text(let type) = row[1] else {
            throw QueryFailure(.sqlError, "no such table: \(name)")
        }
        guard type == "table", !stored.lowercased().hasPrefix("sqlite_") else {
            let kind = type == "table" ? "a table of SQLite's own" : "a \(type == "shadow" ? "shadow table" : type)"
            throw QueryFailure(.sqlError, "\(stored) is \(kind); rows can be written of ordinary tables only")
        }
        self.name = stored
        isWithoutRowid = row[2] == .integer(1)
        columns = read.compactMap { row in
            guard case .text(let name) = row[0], case .integer(let hidden) = row[1], case .integer(let place) = row[2],
                hidden != 1
            else { return nil }
            return Column(name: name, isGenerated: hidden != 0, keyPlace: place, isInteger: row[3] == .integer(1))
        }
        keyColumns = columns.filter { $0.keyPlace > 0 }.sorted { $0.keyPlace < $1.keyPlace }
        let names = TableNames(columns.map(\.name))
        rowidName = isWithoutRowid ? nil : ["rowid", "_rowid_", "oid"].first { !names.contains($0) }
        guard isWithoutRowid || identifyingName != nil else {
            throw QueryFailure(
                .sqlError,
                "columns of \(stored) have taken all names of the rowid, so SQL cannot identify its rows"
            )
        }
    }

    /// Qualified for SQL: a temporary table of the same name is another table.
    var sql: String { "main.\(name.quotedAsIdentifier)" }

    func column(_ name: String) -> Column? {
        let wanted = TableNames([name])
        return columns.first { wanted.contains($0.name) }
    }

    // MARK: Rows

    /// The expressions whose values identify a row.
    var identifyingColumns: [String] {
        isWithoutRowid ? keyColumns.map { $0.name.quotedAsIdentifier } : [identifyingName ?? "rowid"]
    }

    func identity(_ values: [SQLiteValue]) -> RowIdentity {
        if !isWithoutRowid, case .integer(let rowid)? = values.first { .rowid(rowid) } else { .key(values) }
    }

    func condition(for identity: RowIdentity) -> Condition {
        let values: [SQLiteValue] =
            switch identity {
            case .rowid(let rowid): [.integer(rowid)]
            case .key(let values): values
            }
        return Condition(sql: identifyingColumns.map { "\($0) IS ?" }.joined(separator: " AND "), values: values)
    }

    /// The condition for the row that a client names.
    func condition(for write: RowWrite) throws(QueryFailure) -> Condition {
        if let rowid = write.rowid {
            guard !isWithoutRowid else {
                throw QueryFailure(.sqlError, "\(name) has no rowids: name the row by its key alone")
            }
            return condition(for: .rowid(rowid))
        }
        if keyColumns.isEmpty, write.key.count == 1, let cell = write.key.first, cell.column.lowercased() == "rowid" {
            guard case .integer(let rowid) = cell.value else {
                throw QueryFailure(.sqlError, "key: expected the rowid as an integer")
            }
            return condition(for: .rowid(rowid))
        }
        let wanted = keyColumns.isEmpty ? ["rowid"] : keyColumns.map(\.name)
        var values: [SQLiteValue] = []
        for column in keyColumns {
            let name = TableNames([column.name])
            if let cell = write.key.first(where: { name.contains($0.column) }) { values.append(cell.value) }
        }
        guard !keyColumns.isEmpty, values.count == write.key.count, values.count == keyColumns.count else {
            let found = write.key.isEmpty ? "nothing" : write.key.map(\.column).joined(separator: ", ")
            throw QueryFailure(
                .sqlError,
                "key: expected \(wanted.joined(separator: ", ")) of \(name), found \(found)"
            )
        }
        let columns = keyColumns.map { "\($0.name.quotedAsIdentifier) IS ?" }
        return Condition(sql: columns.joined(separator: " AND "), values: values)
    }

    /// The name under which a new row's rowid is written; nil when a value of the key is the rowid.
    func rowidToInsert(beside values: [RowWrite.Cell]) throws(QueryFailure) -> String? {
        if isWithoutRowid { throw QueryFailure(.sqlError, "\(name) has no rowids") }
        if let alias = rowidColumn, values.contains(where: { TableNames([alias.name]).contains($0.column) }) {
            return nil
        }
        return identifyingName
    }

    /// The column that is an alias of the rowid, according to its declaration.
    private var rowidColumn: Column? {
        guard !isWithoutRowid, keyColumns.count == 1, let column = keyColumns.first, column.isInteger else {
            return nil
        }
        return column
    }

    private var identifyingName: String? { rowidName ?? rowidColumn.map { $0.name.quotedAsIdentifier } }
}
