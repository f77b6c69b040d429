import SQLiteConnection

/// The effects of a statement that matter to the capture: what the authorizer reported while it was compiled.
///
/// Several statements may be compiled before one runs; then this is the union of their effects, which is safe.
struct StatementTraits {
    /// The statement may create, alter or drop something in the main schema.
    private(set) var mayChangeSchema = false
    private(set) var isRollbackTo = false
    /// The columns that UPDATEs set, those of triggers and cascades included, by table.
    private(set) var updatedColumns: [SQLName: Set<SQLName>] = [:]
    /// The tables that it inserts into, those of triggers included.
    private var insertedTables: Set<SQLName> = []
    private var deletedTables: Set<SQLName> = []

    init(updatedColumns: [SQLName: Set<SQLName>] = [:]) { self.updatedColumns = updatedColumns }

    mutating func observe(_ request: borrowing AuthorizerRequest) {
        switch request.action {
        case .savepoint:
            if request.first == "ROLLBACK" { isRollbackTo = true }
        case .alterTable, .createTable, .createIndex, .createTrigger, .createView, .createVirtualTable, .dropTable,
            .dropIndex, .dropTrigger, .dropView, .dropVirtualTable, .analyze:
            mayChangeSchema = true
        case .update:
            guard request.database == "main", let table = request.first, let column = request.second else { return }
            updatedColumns[SQLName(table), default: []].insert(SQLName(column))
        case .insert:
            if request.database == "main", let table = request.first { insertedTables.insert(SQLName(table)) }
        case .delete:
            if request.database == "main", let table = request.first { deletedTables.insert(SQLName(table)) }
        default: break
        }
    }

    /// Whether a row that the statement deletes or moves may exist again at its end. Conservative: a statement without
    /// observed effects may do anything.
    func canBringBackRows(of table: SQLName, _ shape: TableShape) -> Bool {
        if insertedTables.contains(table) { return true }
        guard let updated = updatedColumns[table] else { return !deletedTables.contains(table) }
        return shape.isMoved(byUpdating: updated)
    }
}

/// How the library's pre-update hook numbers columns, determined once by a test.
enum HookDialect {
    /// The hook maps column numbers to where the values are stored. 3.40.1 does not: there, a virtual column, which is not
    /// stored, shifts the ones after it.
    static let mapsColumns: Bool = {
        // The hook's closure runs within `execute`, on this thread.
        var mapsColumns = false
        guard let connection = try? Connection(path: ":memory:", mode: .readWriteCreate) else { return false }
        connection.setPreUpdateHook { event in
            if case .integer(7) = event.newValue(1) { mapsColumns = true }
        }
        try? connection.execute("CREATE TABLE t(v AS (1), a, b); INSERT INTO t(a, b) VALUES(7, 8)")
        return mapsColumns
    }()
}

/// A statement of the capture itself that runs once per transaction.
final class ReusableStatement {
    private var statement: Statement

    init(_ sql: String, on connection: Connection) throws(SQLiteError) {
        statement = try connection.prepare(sql, persistent: true)
    }

    func run() throws(SQLiteError) {
        while try statement.step() {}
    }

    /// The first column of the first row; 0 when there is none.
    func integer() throws(SQLiteError) -> Int64 {
        defer { statement.reset() }
        return try statement.step() ? statement.integer(0) : 0
    }
}
