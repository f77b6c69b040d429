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
    var commit: (() -> CommitDecision)?
    var rollback: (() -> Void)?
    var wal: ((String, Int) -> Void)?
    /// Made when a statement first calls the function.
    var jsonPatch: JSONPatch?

    var context: UnsafeMutableRawPointer { Unmanaged.passUnretained(self).toOpaque() }

    static func from(_ context: UnsafeMutableRawPointer?) -> Hooks? {
        context.map { Unmanaged<Hooks>.fromOpaque($0).takeUnretainedValue() }
    }

    /// As ``from(_:)``, for a callback that runs once per row: counts no references.
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
