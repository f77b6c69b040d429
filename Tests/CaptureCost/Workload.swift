import ChangeCapture
import OracleSupport
import SQLiteConnection

/// One kind of write workload, through the same wrapper with and without capture.
enum Workload: String, CaseIterable {
    case bulkInsert = "inserts of 6 columns in one transaction"
    case autocommit = "autocommit inserts, WAL, synchronous=NORMAL (a tenth of the rows)"
    case bulkUpdate = "one UPDATE of all rows"
    case bulkDelete = "one DELETE of all rows, with a WHERE"
    case clientUpdate = "the UPDATE within a longer transaction"
    case clientDelete = "the DELETE within a longer transaction"

    static let setUp = """
        PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
        CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b REAL, c TEXT, d TEXT, e BLOB)
        """

    func measure(rows: Int, _ subject: Subject) throws -> Duration {
        let path = "\(TemporaryFiles.directory)/capture-cost.db"
        TemporaryFiles.remove(path)
        defer { TemporaryFiles.remove(path) }
        subject.install()
        let connection = try Connection(path: path, mode: .readWriteCreate)
        Subject.bare.install()
        try connection.execute(Self.setUp)
        try prepare(rows, connection)
        var limits = CaptureLimits()
        limits.maxRows = max(limits.maxRows, rows)
        limits.maxValueBytes = 1 << 30
        let capture = try subject.level.map { level in
            try HookCapture(connection, level: level, limits: limits)
        }
        if let capture {
            connection.setAuthorizer { request in
                _ = capture.observe(request)
                return .allow
            }
        }
        let time = try ThreadTime.measure { try run(rows, connection, capture, isBare: subject == .bare) }
        connection.setAuthorizer(nil)
        return time
    }

    /// What is there before the measurement.
    func prepare(_ rows: Int, _ connection: Connection) throws {
        switch self {
        case .bulkInsert, .autocommit: break
        default: try insert(rows, on: connection)
        }
    }

    /// - Parameter committed: called after every commit of a captured transaction.
    func run(
        _ rows: Int,
        _ connection: Connection,
        _ capture: HookCapture?,
        isBare: Bool = false,
        committed: () -> Void = {}
    ) throws {
        defer { if self != .autocommit { committed() } }
        switch self {
        case .bulkInsert: try transaction(connection, capture) { try insert(rows, on: connection) }
        case .autocommit: try autocommit(rows / 10, connection, capture, isBare: isBare, committed: committed)
        case .bulkUpdate, .clientUpdate:
            try transaction(connection, capture, isAlone: self == .bulkUpdate) {
                try connection.execute("UPDATE t SET a = a + 1")
            }
        case .bulkDelete, .clientDelete:
            try transaction(connection, capture, isAlone: self == .bulkDelete) {
                try connection.execute("DELETE FROM t WHERE id > 0")
            }
        }
    }

    private func transaction(
        _ connection: Connection,
        _ capture: HookCapture?,
        isAlone: Bool = false,
        _ body: () throws -> Void
    ) throws {
        try connection.execute("BEGIN IMMEDIATE")
        try capture?.statementWillRun(isAlone: isAlone)
        try body()
        capture?.statementDidRun(failed: false)
        try commit(connection, capture)
    }

    private func commit(_ connection: Connection, _ capture: HookCapture?) throws {
        try capture?.transactionWillCommit()
        try connection.execute("COMMIT")
        guard let capture else { return }
        let changes = capture.transactionDidCommit()
        precondition(!changes.isEmpty, "nothing was captured")
    }

    private func insert(_ rows: Int, on connection: Connection) throws {
        let isOutside = connection.isInAutocommit
        if isOutside { try connection.execute("BEGIN") }
        var statement = try connection.prepare("INSERT INTO t(a, b, c, d, e) VALUES(?, ?, ?, ?, ?)")
        for row in 0..<rows { try insert(row, &statement) }
        if isOutside { try connection.execute("COMMIT") }
    }

    private func insert(_ row: Int, _ statement: inout Statement) throws {
        try statement.bind(.integer(Int64(row)), at: 1)
        try statement.bind(.real(Double(row) / 3), at: 2)
        try statement.bind(.text("name of the row"), at: 3)
        try statement.bind(.text("some more text"), at: 4)
        try statement.bind(.blob([1, 2, 3, 4]), at: 5)
        _ = try statement.step()
    }

    /// Without capture, a statement is its own transaction; with capture, and in the floors, an explicit one surrounds
    /// it.
    private func autocommit(
        _ rows: Int,
        _ connection: Connection,
        _ capture: HookCapture?,
        isBare: Bool,
        committed: () -> Void
    ) throws {
        var statement = try connection.prepare("INSERT INTO t(a, b, c, d, e) VALUES(?, ?, ?, ?, ?)")
        var begin = try connection.prepare("BEGIN IMMEDIATE")
        var end = try connection.prepare("COMMIT")
        for row in 0..<rows {
            if isBare {
                try insert(row, &statement)
                continue
            }
            _ = try begin.step()
            try capture?.statementWillRun()
            try insert(row, &statement)
            capture?.statementDidRun(failed: false)
            try capture?.transactionWillCommit()
            _ = try end.step()
            _ = capture?.transactionDidCommit()
            committed()
        }
    }
}
