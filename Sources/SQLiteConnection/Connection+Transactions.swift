import CSQLite

/// The decision of a commit hook.
package enum CommitDecision: Sendable {
    case commit
    /// Turns the commit into a rollback; the statement fails with `SQLITE_CONSTRAINT_COMMITHOOK`.
    case rollback
}

extension Connection {
    /// Sets the closure that is called just before a transaction commits; nil removes it.
    ///
    /// Called on the connection's thread, within `step`. The commit is not durable yet and can still fail. The closure must
    /// not use the connection. Source: [sqlite3_commit_hook](https://sqlite.org/c3ref/commit_hook.html).
    package func setCommitHook(_ hook: (() -> CommitDecision)?) {
        hooks.commit = hook
        guard hook != nil else {
            sqlite3_commit_hook(handle, nil, nil)
            return
        }
        sqlite3_commit_hook(
            handle,
            { Hooks.from($0)?.commit?() == .rollback ? 1 : 0 },
            hooks.context
        )
    }

    /// Sets the closure that is called when a transaction rolls back, including one that only read; nil removes it. Not
    /// called for a `ROLLBACK TO`, nor when SQLite undoes a single statement.
    package func setRollbackHook(_ hook: (() -> Void)?) {
        hooks.rollback = hook
        guard hook != nil else {
            sqlite3_rollback_hook(handle, nil, nil)
            return
        }
        sqlite3_rollback_hook(handle, { Hooks.from($0)?.rollback?() }, hooks.context)
    }

    /// Sets the closure that is called after a commit in WAL mode, with the database's name and the number of frames
    /// now in the log; nil removes it.
    ///
    /// The commit is as durable as the database's settings make it. Replaces automatic checkpoints, which use the same
    /// callback. Source: [sqlite3_wal_hook](https://sqlite.org/c3ref/wal_hook.html).
    package func setWALHook(_ hook: ((_ database: String, _ frameCount: Int) -> Void)?) {
        hooks.wal = hook
        guard hook != nil else {
            sqlite3_wal_hook(handle, nil, nil)
            return
        }
        sqlite3_wal_hook(
            handle,
            { context, _, database, frames in
                Hooks.from(context)?.wal?(database.map { String(cString: $0) } ?? "", Int(frames))
                return SQLITE_OK
            },
            hooks.context
        )
    }

    /// How far a checkpoint goes; see [sqlite3_wal_checkpoint_v2](https://sqlite.org/c3ref/wal_checkpoint_v2.html).
    package enum CheckpointMode: Sendable, Hashable {
        /// Copies as many frames as possible without waiting for other connections.
        case passive
        case full
        case restart
        case truncate

        fileprivate var code: Int32 {
            switch self {
            case .passive: SQLITE_CHECKPOINT_PASSIVE
            case .full: SQLITE_CHECKPOINT_FULL
            case .restart: SQLITE_CHECKPOINT_RESTART
            case .truncate: SQLITE_CHECKPOINT_TRUNCATE
            }
        }
    }

    /// Copies frames of the main database's log into the database file. Both counts are -1 outside of WAL mode.
    @discardableResult
    package func checkpoint(
        _ mode: CheckpointMode
    ) throws(SQLiteError) -> (logFrames: Int, checkpointedFrames: Int) {
        var log: Int32 = -1
        var done: Int32 = -1
        try check(sqlite3_wal_checkpoint_v2(handle, "main", mode.code, &log, &done))
        return (Int(log), Int(done))
    }
}
