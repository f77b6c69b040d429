import ChangeCapture
import OracleSupport
import SQLiteConnection

/// The memory of a transaction's capture, by the number of its rows: the growth of the process compared with no
/// capture.
enum MemoryUse {
    static func report() throws {
        for millions in [1, 5] {
            for level in [nil, CaptureLevel.counts, .values] {
                let path = "\(TemporaryFiles.directory)/capture-memory.db"
                TemporaryFiles.remove(path)
                defer { TemporaryFiles.remove(path) }
                let connection = try Connection(path: path, mode: .readWriteCreate)
                try connection.execute("PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)")
                let before = ProcessMemory.residentBytes
                let capture = try level.map { try HookCapture(connection, level: $0) }
                try connection.execute("BEGIN IMMEDIATE")
                try capture?.statementWillRun()
                try connection.execute(
                    """
                    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < \(millions * 1_000_000))
                    INSERT INTO t(a, b) SELECT i, 'some text' FROM n
                    """
                )
                capture?.statementDidRun(failed: false)
                try capture?.transactionWillCommit()
                let after = ProcessMemory.residentBytes
                try connection.execute("COMMIT")
                let what = level.map { "\($0)" } ?? "without capture"
                let reported = capture.map { capture -> String in
                    guard case .rows(let rows)? = capture.transactionDidCommit().events.first else { return "" }
                    return ", reported +\(rows.inserted), rows omitted: \(rows.rowsOmitted)"
                }
                print("\(millions) million rows, \(what): \((after - before) >> 20) MB\(reported ?? "")")
            }
        }
    }
}
