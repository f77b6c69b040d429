import SQLiteConnection

/// The schema that a policy with a list of tables exposes: an in-memory database with only those tables, without rows.
///
/// SQLite's error messages reveal the schema: tables and columns, what a view or a trigger reads, what a foreign key
/// refers to. A client with a list of tables gets the errors of this database instead, so that no message, and no
/// difference between two messages, depends on anything outside of its list.
///
/// Belongs to the thread of the connection whose schema it shows.
final class VisibleSchema {
    private let connection: Connection
    private let authorizer = StatementAuthorizer()

    /// - Parameter original: reads its own schema during the call, without an authorizer.
    init(of original: Connection, readable: TableNames) throws(SQLiteError) {
        connection = try Connection(path: ":memory:", mode: .readWriteCreate)
        try EvaluationPolicy().apply(to: connection)
        // Virtual tables first: they create tables of their own, which the schema lists too.
        let objects = try original.query(
            """
            SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL
            ORDER BY type <> 'table', sql NOT LIKE 'CREATE VIRTUAL%', rowid
            """
        )
        for object in objects {
            guard case .text(let type) = object[0], case .text(let name) = object[1], case .text(let table) = object[2],
                case .text(let sql) = object[3], readable.contains(table)
            else { continue }
            // Objects that this library cannot create, such as a table of an unknown module, are missing here: the
            // client is not allowed to use them.
            switch type {
            case "table", "index": try? connection.execute(sql)
            case "view": try? makeView(name, of: original)
            default: break
            }
        }
        connection.setAuthorizer { [authorizer] request in authorizer.authorize(request) }
    }

    /// Creates a view with the same columns that reads nothing, and that is writable where a trigger may make the
    /// original so.
    private func makeView(_ name: String, of original: Connection) throws(SQLiteError) {
        let columns = try original.query("SELECT name FROM pragma_table_xinfo(?)", [.text(name)]).compactMap { row in
            if case .text(let column)? = row.first { Self.quoted(column) } else { nil }
        }
        let view = Self.quoted(name)
        let nulls = columns.map { _ in "NULL" }.joined(separator: ", ")
        try connection.execute("CREATE VIEW \(view)(\(columns.joined(separator: ", "))) AS SELECT \(nulls)")
        let triggers = try original.query(
            "SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE",
            [.text(name)]
        )
        guard !triggers.isEmpty else { return }
        for event in ["INSERT", "UPDATE", "DELETE"] {
            try connection.execute(
                "CREATE TRIGGER \(Self.quoted("\(event) \(name)")) INSTEAD OF \(event) ON \(view) BEGIN SELECT 1; END"
            )
        }
    }

    private static func quoted(_ name: String) -> String { "\"\(name.replacing("\"", with: "\"\""))\"" }

    /// The error of a statement for a client that knows only these tables; nil when there is none.
    ///
    /// - Parameters:
    ///   - sql: begins with the statement.
    ///   - isInTransaction: whether it would run within one.
    func problem(with sql: String, _ policy: SQLPolicy, isInTransaction: Bool) throws(SQLiteError) -> QueryFailure? {
        let names = try authorizer.unguarded { () throws(SQLiteError) in
            try connection.query("SELECT name FROM sqlite_schema UNION SELECT name FROM pragma_module_list")
        }
        let tables = names.compactMap { row in
            if case .text(let name)? = row.first, !StatementAuthorizer.tableFunctions.contains(name) {
                name
            } else {
                nil
            }
        }
        authorizer.begin(policy, access: .writer, tables: TableNames(tables))
        authorizer.isInTransaction = isInTransaction
        defer { authorizer.end() }
        var script = Script(sql)
        do {
            guard let statement = try script.next(on: connection) else { return nil }
            try authorizer.check(statement)
            return nil
        } catch let error as SQLiteError {
            return failure(error)
        } catch let failure as QueryFailure {
            return failure
        } catch {
            return QueryFailure(.internal, "\(error)")
        }
    }

    private func failure(_ error: SQLiteError) -> QueryFailure {
        var failure = QueryFailure(error)
        if let denial = authorizer.denial {
            failure.code = denial.code
            failure.message = "\(denial.reason) (\(error.message))"
        } else if let name = error.message.split(separator: "no such table: ", maxSplits: 1).last,
            error.message.hasPrefix("no such table: ")
        {
            failure.code = .notAuthorized
            failure.message = "no table \(name) is among the allowed ones (\(error.message))"
        }
        return failure
    }
}

extension QueryFailure {
    /// A statement that is correct as far as the client can know, and that accesses other tables.
    static let reachesOtherTables = QueryFailure(
        .notAuthorized,
        "the statement reaches a table that is not allowed, through a view, a trigger, a foreign key or a virtual table"
    )
}
