import SQLiteConnection

/// How the library's pre-update hook counts columns, found out once by asking it.
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
