import CSQLite

/// What the closure of a progress handler decides.
package enum ProgressDecision: Sendable {
    case proceed
    /// The running statement fails with `SQLITE_INTERRUPT`; a write within a transaction rolls the whole of it back.
    case interrupt
}

extension Connection {
    /// Sets what is called about every `everySteps` steps of the virtual machine; nil removes it.
    ///
    /// Called on the connection's thread, within `step` (since SQLite 3.41 also while preparing). The closure must not use
    /// the connection. Source: [sqlite3_progress_handler](https://sqlite.org/c3ref/progress_handler.html).
    package func setProgressHandler(everySteps steps: Int, _ handler: (() -> ProgressDecision)?) {
        hooks.progress = handler
        guard handler != nil else {
            sqlite3_progress_handler(handle, 0, nil, nil)
            return
        }
        sqlite3_progress_handler(
            handle,
            Int32(clamping: steps),
            { Hooks.from($0)?.progress?() == .interrupt ? 1 : 0 },
            hooks.context
        )
    }

    /// Waits for other connections' locks up to a time, then fails with `SQLITE_BUSY`. Replaces the busy handler.
    package func setBusyTimeout(_ timeout: Duration) {
        hooks.busy = nil
        let (seconds, attoseconds) = timeout.components
        sqlite3_busy_timeout(handle, Int32(clamping: seconds * 1_000 + attoseconds / 1_000_000_000_000_000))
    }

    /// Sets what decides whether to try again for a lock that another connection holds: true tries again, after whatever
    /// wait the closure makes; nil fails with `SQLITE_BUSY` at once. `attempt` counts from 0 for each lock.
    ///
    /// SQLite does not ask where waiting could deadlock. Source:
    /// [sqlite3_busy_handler](https://sqlite.org/c3ref/busy_handler.html).
    package func setBusyHandler(_ handler: ((_ attempt: Int) -> Bool)?) {
        hooks.busy = handler
        guard handler != nil else {
            sqlite3_busy_handler(handle, nil, nil)
            return
        }
        sqlite3_busy_handler(
            handle,
            { Hooks.from($0)?.busy?(Int($1)) == true ? 1 : 0 },
            hooks.context
        )
    }
}
