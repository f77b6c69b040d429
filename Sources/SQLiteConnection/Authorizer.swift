import CSQLite

/// An action of a statement that is being compiled, passed to the authorizer's closure.
///
/// Valid only within the closure: the names are borrowed from SQLite and copied on demand.
///
/// Source: [Authorizer Action Codes](https://sqlite.org/c3ref/c_alter_table.html).
package struct AuthorizerRequest: ~Copyable {
    package let action: AuthorizerAction
    private let arguments: (UnsafePointer<CChar>?, UnsafePointer<CChar>?)
    private let databaseName: UnsafePointer<CChar>?
    private let accessor: UnsafePointer<CChar>?

    init(
        action: Int32,
        _ first: UnsafePointer<CChar>?,
        _ second: UnsafePointer<CChar>?,
        database: UnsafePointer<CChar>?,
        accessor: UnsafePointer<CChar>?
    ) {
        self.action = AuthorizerAction(rawValue: action)
        self.arguments = (first, second)
        self.databaseName = database
        self.accessor = accessor
    }

    /// Usually the table's name; its meaning depends on the action.
    package var first: String? { arguments.0.map { String(cString: $0) } }
    package var second: String? { arguments.1.map { String(cString: $0) } }
    /// `main`, `temp` or the name of an attached database, where the action concerns one.
    package var database: String? { databaseName.map { String(cString: $0) } }
    /// The innermost trigger or view that causes the access; nil when the statement itself does.
    package var triggerOrView: String? { accessor.map { String(cString: $0) } }
}

package enum AuthorizerVerdict: Sendable, Hashable {
    case allow
    /// The statement does not compile: `SQLITE_AUTH`.
    case deny
    /// A column reads NULL, a drop silently does nothing; a DELETE goes row by row even without a WHERE.
    case ignore

    fileprivate var code: Int32 {
        switch self {
        case .allow: SQLITE_OK
        case .deny: SQLITE_DENY
        case .ignore: SQLITE_IGNORE
        }
    }
}

package struct AuthorizerAction: RawRepresentable, Sendable, Hashable {
    package let rawValue: Int32
    package init(rawValue: Int32) { self.rawValue = rawValue }

    package static let createIndex = AuthorizerAction(rawValue: SQLITE_CREATE_INDEX)
    package static let createTable = AuthorizerAction(rawValue: SQLITE_CREATE_TABLE)
    package static let createTempIndex = AuthorizerAction(rawValue: SQLITE_CREATE_TEMP_INDEX)
    package static let createTempTable = AuthorizerAction(rawValue: SQLITE_CREATE_TEMP_TABLE)
    package static let createTempTrigger = AuthorizerAction(rawValue: SQLITE_CREATE_TEMP_TRIGGER)
    package static let createTempView = AuthorizerAction(rawValue: SQLITE_CREATE_TEMP_VIEW)
    package static let createTrigger = AuthorizerAction(rawValue: SQLITE_CREATE_TRIGGER)
    package static let createView = AuthorizerAction(rawValue: SQLITE_CREATE_VIEW)
    package static let delete = AuthorizerAction(rawValue: SQLITE_DELETE)
    package static let dropIndex = AuthorizerAction(rawValue: SQLITE_DROP_INDEX)
    package static let dropTable = AuthorizerAction(rawValue: SQLITE_DROP_TABLE)
    package static let dropTempIndex = AuthorizerAction(rawValue: SQLITE_DROP_TEMP_INDEX)
    package static let dropTempTable = AuthorizerAction(rawValue: SQLITE_DROP_TEMP_TABLE)
    package static let dropTempTrigger = AuthorizerAction(rawValue: SQLITE_DROP_TEMP_TRIGGER)
    package static let dropTempView = AuthorizerAction(rawValue: SQLITE_DROP_TEMP_VIEW)
    package static let dropTrigger = AuthorizerAction(rawValue: SQLITE_DROP_TRIGGER)
    package static let dropView = AuthorizerAction(rawValue: SQLITE_DROP_VIEW)
    package static let insert = AuthorizerAction(rawValue: SQLITE_INSERT)
    /// first: the name, second: the argument or nil.
    package static let pragma = AuthorizerAction(rawValue: SQLITE_PRAGMA)
    /// first: the table, second: the column.
    package static let read = AuthorizerAction(rawValue: SQLITE_READ)
    package static let select = AuthorizerAction(rawValue: SQLITE_SELECT)
    /// first: `BEGIN`, `COMMIT` or `ROLLBACK`.
    package static let transaction = AuthorizerAction(rawValue: SQLITE_TRANSACTION)
    /// first: the table, second: the column.
    package static let update = AuthorizerAction(rawValue: SQLITE_UPDATE)
    /// first: the file's name.
    package static let attach = AuthorizerAction(rawValue: SQLITE_ATTACH)
    package static let detach = AuthorizerAction(rawValue: SQLITE_DETACH)
    /// first: the database, second: the table.
    package static let alterTable = AuthorizerAction(rawValue: SQLITE_ALTER_TABLE)
    package static let reindex = AuthorizerAction(rawValue: SQLITE_REINDEX)
    package static let analyze = AuthorizerAction(rawValue: SQLITE_ANALYZE)
    /// first: the table, second: the module.
    package static let createVirtualTable = AuthorizerAction(rawValue: SQLITE_CREATE_VTABLE)
    package static let dropVirtualTable = AuthorizerAction(rawValue: SQLITE_DROP_VTABLE)
    /// second: the function.
    package static let function = AuthorizerAction(rawValue: SQLITE_FUNCTION)
    /// first: `BEGIN`, `RELEASE` or `ROLLBACK`, second: the savepoint.
    package static let savepoint = AuthorizerAction(rawValue: SQLITE_SAVEPOINT)
    package static let recursive = AuthorizerAction(rawValue: SQLITE_RECURSIVE)
}

extension Connection {
    /// Sets the closure that SQLite calls for every action while it compiles a statement, or compiles it again after a
    /// schema change; nil removes it.
    ///
    /// Called on the connection's thread, within `prepare` and `step`; the closure must not use the connection. Setting it
    /// makes SQLite compile all statements of the connection again.
    /// Source: [sqlite3_set_authorizer](https://sqlite.org/c3ref/set_authorizer.html).
    package func setAuthorizer(_ authorizer: ((borrowing AuthorizerRequest) -> AuthorizerVerdict)?) {
        hooks.authorizer = authorizer
        guard authorizer != nil else {
            sqlite3_set_authorizer(handle, nil, nil)
            return
        }
        sqlite3_set_authorizer(
            handle,
            { context, action, first, second, database, accessor in
                guard let authorizer = Hooks.from(context)?.authorizer else { return SQLITE_OK }
                return authorizer(
                    AuthorizerRequest(action: action, first, second, database: database, accessor: accessor)
                ).code
            },
            hooks.context
        )
    }
}
