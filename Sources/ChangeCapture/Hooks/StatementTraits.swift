import SQLiteConnection

/// What a statement would do, as far as the capture must know: what the authorizer saw while it was compiled.
///
/// More than one statement may be compiled before one runs; then this says what any of them would do, which is on the safe
/// side.
struct StatementTraits {
    /// It may create, alter or drop something of the main schema.
    private(set) var mayChangeSchema = false
    private(set) var isRollbackTo = false
    /// The columns that UPDATEs set, those of triggers and cascades included, by table.
    private(set) var updatedColumns: [SQLName: Set<SQLName>] = [:]

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
        default: break
        }
    }
}
