import ChangeCapture
import OracleSupport
import SQLiteConnection
import Testing

/// A database in WAL mode in which transactions are run and decoded one after the other.
final class Scenario {
    let connection: Connection
    let decoder: CommitDecoder
    private(set) var last: RecordedCommit?
    private let scratch: ScratchDirectory
    private let recorded: RecordedCommits
    private var schema: TestSchema

    init(_ setup: String, settings: String = "PRAGMA page_size = 512;") throws {
        scratch = try ScratchDirectory()
        let path = scratch.file("scenario.db")
        connection = try Connection(path: path, mode: .readWriteCreate)
        try connection.execute(settings + "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF")
        try connection.execute("PRAGMA wal_autocheckpoint = 0; PRAGMA secure_delete = OFF;" + setup)
        try connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        recorded = try RecordedCommits(path: path)
        schema = try TestSchema(connection)
        decoder = try CommitDecoder(recorded.image, catalog: schema.catalog)
    }

    /// Runs a transaction and decodes it. The page map is compared with a fresh walk.
    @discardableResult
    func commit(
        _ sql: String,
        level: CaptureLevel = .values,
        limits: CaptureLimits = CaptureLimits()
    ) throws -> [TableRows] {
        let (commit, transition) = try record(sql)
        let tables = try decoder.decode(
            before: commit.before,
            after: commit.after,
            changedPages: commit.changedPages,
            schema: transition,
            level: level,
            limits: limits
        )
        #expect(try decoder.verify(against: commit.after) == [])
        #expect(decoder.statistics.unexplainedPages == 0)
        return tables
    }

    /// Runs a transaction that the caller decodes.
    func record(_ sql: String) throws -> (RecordedCommit, CommitDecoder.SchemaTransition) {
        try connection.execute(sql)
        let commits = try recorded.next()
        let commit = try #require(commits.first)
        #expect(commits.count == 1)
        last = commit
        guard
            try decoder.touchesSchema(
                before: commit.before,
                after: commit.after,
                changedPages: commit.changedPages
            )
        else { return (commit, .unchanged) }
        let old = schema
        schema = try TestSchema(connection)
        return (commit, .changed(schema.catalog, schema.changes(from: old)))
    }
}

extension TableRows {
    /// Operations with the value of one column before and after, for short expectations.
    func summary(column: Int) -> [String] {
        rows.map { row in
            let before = row.before.map { "\($0[column].brief)" } ?? "-"
            let after = row.after.map { "\($0[column].brief)" } ?? "-"
            return "\(row.operation) \(before) \(after)"
        }
    }
}

extension SQLiteValue {
    fileprivate var brief: String {
        switch self {
        case .null: "NULL"
        case .integer(let value): "\(value)"
        case .real(let value): "\(value)"
        case .text(let value): value
        case .blob(let bytes), .malformedText(let bytes): "\(bytes.count) bytes"
        }
    }
}
