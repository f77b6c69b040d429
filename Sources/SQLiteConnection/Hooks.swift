import CSQLite

/// Owns the closures behind a connection's C callbacks, one of each kind. The connection removes the callbacks before it
/// closes, so that none can outlive its closure.
///
/// The callbacks pass this object's address as their context; it lives as long as its connection.
final class Hooks {
    var busy: ((Int) -> Bool)?
    var progress: (() -> ProgressDecision)?
    var authorizer: ((borrowing AuthorizerRequest) -> AuthorizerVerdict)?
    var update: ((UpdateOperation, String, String, Int64) -> Void)?
    var preUpdate: ((borrowing PreUpdate) -> Void)?
    var rowWatch: ((borrowing PreUpdate) -> Void)?
    var commit: (() -> CommitDecision)?
    var rollback: (() -> Void)?
    var wal: ((String, Int) -> Void)?
    /// Created when a statement first calls the function.
    var jsonPatch: JSONPatch?

    var context: UnsafeMutableRawPointer { Unmanaged.passUnretained(self).toOpaque() }

    static func from(_ context: UnsafeMutableRawPointer?) -> Hooks? {
        context.map { Unmanaged<Hooks>.fromOpaque($0).takeUnretainedValue() }
    }

    /// Like ``from(_:)``, without reference counting, for a callback that runs once per row.
    @inline(__always)
    static func with(_ context: UnsafeMutableRawPointer?, _ body: (Hooks) -> Void) {
        guard let context else { return }
        Unmanaged<Hooks>.fromOpaque(context)._withUnsafeGuaranteedRef(body)
    }

    func removeAll(from handle: OpaquePointer) {
        sqlite3_busy_handler(handle, nil, nil)
        sqlite3_progress_handler(handle, 0, nil, nil)
        sqlite3_set_authorizer(handle, nil, nil)
        sqlite3_update_hook(handle, nil, nil)
        if csqlite_has_preupdate_hook() != 0 { sqlite3_preupdate_hook(handle, nil, nil) }
        sqlite3_commit_hook(handle, nil, nil)
        sqlite3_rollback_hook(handle, nil, nil)
        sqlite3_wal_hook(handle, nil, nil)
    }
}

package enum UpdateOperation: Sendable, Hashable {
    case insert
    case update
    case delete

    init(code: Int32) {
        self =
            switch code {
            case SQLITE_INSERT: .insert
            case SQLITE_DELETE: .delete
            default: .update
            }
    }
}

/// One row that is about to change, with its values before and after: valid only within the hook's closure.
///
/// Behaviour of 3.40.1: the values come in storage order, which a virtual generated column shifts; a column added with
/// a default reads NULL in rows older than it; a REAL may arrive as an integer.
///
/// Source: [The pre-update hook](https://sqlite.org/c3ref/preupdate_blobwrite.html).
package struct PreUpdate: ~Copyable {
    private let connection: OpaquePointer
    package let operation: UpdateOperation
    private let databaseName: UnsafePointer<CChar>?
    private let tableName: UnsafePointer<CChar>?
    /// The rowid before the change; undefined for an insert and for a WITHOUT ROWID table.
    package let oldRowid: Int64
    /// The rowid after the change; undefined for a delete and for a WITHOUT ROWID table.
    package let newRowid: Int64

    init(
        connection: OpaquePointer,
        operation: Int32,
        database: UnsafePointer<CChar>?,
        table: UnsafePointer<CChar>?,
        oldRowid: Int64,
        newRowid: Int64
    ) {
        self.connection = connection
        self.operation = UpdateOperation(code: operation)
        self.databaseName = database
        self.tableName = table
        self.oldRowid = oldRowid
        self.newRowid = newRowid
    }

    /// Whether the row is in the main database, not in `temp` or an attached one.
    package var isInMain: Bool { databaseName.map { strcmp($0, "main") == 0 } ?? false }

    /// The bytes of the table's name, borrowed.
    package func withTableName<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        body(UnsafeRawBufferPointer(start: tableName, count: tableName.map { strlen($0) } ?? 0))
    }

    /// The address of the table's name within SQLite's schema: the same for all rows of one table while the schema stays,
    /// so that most callbacks need not compare names.
    package var tableIdentity: UInt { UInt(bitPattern: tableName) }

    /// The number of stored columns.
    package var columnCount: Int { Int(sqlite3_preupdate_count(connection)) }

    /// 0 for the statement's own changes, 1 for those of its triggers, and so on; cascades count as triggers.
    package var depth: Int { Int(sqlite3_preupdate_depth(connection)) }

    /// The column that an incremental blob write changes; nil for any other change, and where the library cannot tell. The
    /// hook calls such a write a delete.
    package var blobWriteColumn: Int? {
        let column = csqlite_preupdate_blobwrite(connection)
        return column >= 0 ? Int(column) : nil
    }

    /// A value before the change, by its index in storage order; NULL when there is none (an insert, a column out of
    /// range).
    ///
    /// Its bytes are borrowed from SQLite until the hook's closure returns.
    package func oldValue(_ column: Int) -> BorrowedValue {
        guard operation != .insert else { return .null }
        var value: OpaquePointer?
        guard sqlite3_preupdate_old(connection, Int32(truncatingIfNeeded: column), &value) == SQLITE_OK else {
            return .null
        }
        return BorrowedValue(value)
    }

    /// A value after the change, by its index in storage order; NULL when there is none (a delete, a column out of
    /// range).
    ///
    /// Its bytes are borrowed from SQLite until the hook's closure returns.
    package func newValue(_ column: Int) -> BorrowedValue {
        guard operation != .delete else { return .null }
        var value: OpaquePointer?
        guard sqlite3_preupdate_new(connection, Int32(truncatingIfNeeded: column), &value) == SQLITE_OK else {
            return .null
        }
        return BorrowedValue(value)
    }
}

extension Connection {
    /// Sets the closure that is called before each row of an ordinary table changes, with or without rowid; nil removes
    /// it. While it is set, `DELETE FROM t` deletes row by row. Does nothing where ``Library/hasPreUpdateHook`` is
    /// false.
    ///
    /// Called on the connection's thread, within `step`; the closure must not use the connection.
    package func setPreUpdateHook(_ hook: ((borrowing PreUpdate) -> Void)?) {
        hooks.preUpdate = hook
        installPreUpdateHook()
    }

    /// Sets a second closure like that of ``setPreUpdateHook(_:)``, which stays as it is. Statements compiled before this
    /// call may delete rows without calling it.
    package func setRowWatch(_ watch: ((borrowing PreUpdate) -> Void)?) {
        hooks.rowWatch = watch
        installPreUpdateHook()
    }

    private func installPreUpdateHook() {
        guard csqlite_has_preupdate_hook() != 0 else { return }
        guard hooks.preUpdate != nil || hooks.rowWatch != nil else {
            sqlite3_preupdate_hook(handle, nil, nil)
            return
        }
        sqlite3_preupdate_hook(
            handle,
            { context, connection, operation, database, table, oldRowid, newRowid in
                guard let connection else { return }
                Hooks.with(context) { hooks in
                    let row = PreUpdate(
                        connection: connection,
                        operation: operation,
                        database: database,
                        table: table,
                        oldRowid: oldRowid,
                        newRowid: newRowid
                    )
                    hooks.preUpdate?(row)
                    hooks.rowWatch?(row)
                }
            },
            hooks.context
        )
    }

    /// Sets the closure that is called after each row of a rowid table changed; nil removes it.
    ///
    /// Misses WITHOUT ROWID tables, rows deleted by REPLACE, and `DELETE` without `WHERE`; gives only the new rowid.
    /// Use it only as the fallback for a library without the pre-update hook. Source:
    /// [sqlite3_update_hook](https://sqlite.org/c3ref/update_hook.html).
    package func setUpdateHook(
        _ hook: ((_ operation: UpdateOperation, _ database: String, _ table: String, _ rowid: Int64) -> Void)?
    ) {
        hooks.update = hook
        guard hook != nil else {
            sqlite3_update_hook(handle, nil, nil)
            return
        }
        sqlite3_update_hook(
            handle,
            { context, operation, database, table, rowid in
                Hooks.from(context)?.update?(
                    UpdateOperation(code: operation),
                    database.map { String(cString: $0) } ?? "",
                    table.map { String(cString: $0) } ?? "",
                    rowid
                )
            },
            hooks.context
        )
    }
}
