import ChangeCapture
import Foundation
import OracleSupport
import RandomSupport
import SQLiteConnection
import Testing

/// Random transactions in the real SQLite; the changes decoded from the pages must equal the differences that SQL
/// finds.
@Suite struct CommitDecoderOracleTests {
    struct Configuration: CustomTestStringConvertible, Sendable {
        var pageSize = 4096
        var autoVacuum = 0
        var encoding = "UTF-8"
        var reservedBytes = 0
        var secureDelete = "OFF"
        var pragmas = ""
        var steps = 150

        var testDescription: String {
            "page \(pageSize), auto_vacuum \(autoVacuum), \(encoding), reserved \(reservedBytes), secure_delete \(secureDelete) \(pragmas)"
        }
    }

    // Some builds of SQLite, for example Debian's, enable secure_delete: then freed pages are written, which is the
    // easy case.
    static let configurations = [
        Configuration(pageSize: 512),
        Configuration(pageSize: 512, autoVacuum: 1, pragmas: "PRAGMA cache_size = 5"),
        Configuration(pageSize: 1024, autoVacuum: 1),
        Configuration(pageSize: 1024, autoVacuum: 2, secureDelete: "ON"),
        Configuration(pageSize: 1024, encoding: "UTF-16be", reservedBytes: 32),
        Configuration(pageSize: 2048, encoding: "UTF-16le", secureDelete: "FAST"),
        Configuration(pageSize: 4096),
        Configuration(pageSize: 4096, autoVacuum: 2, reservedBytes: 8),
        Configuration(pageSize: 8192, autoVacuum: 1, encoding: "UTF-16be"),
        Configuration(pageSize: 16_384, steps: 60),
        Configuration(pageSize: 32_768, reservedBytes: 255, steps: 40),
        Configuration(pageSize: 65_536, autoVacuum: 1, steps: 40),
    ]

    /// `TABLECAST_ORACLE_SEED` repeats a run; `TABLECAST_ORACLE_STEPS` multiplies its length.
    static let seed =
        ProcessInfo.processInfo.environment["TABLECAST_ORACLE_SEED"].flatMap(UInt64.init)
        ?? UInt64.random(in: 0..<1_000_000)
    static let factor = ProcessInfo.processInfo.environment["TABLECAST_ORACLE_STEPS"].flatMap(Int.init) ?? 1

    @Test(arguments: configurations)
    func `decoded rows are the difference that SQL finds`(_ configuration: Configuration) throws {
        let seed = Self.seed
        print("commit decoder oracle: \(configuration.testDescription), seed \(seed)")
        let scratch = try ScratchDirectory()
        let path = scratch.file("oracle.db")
        try create(path, configuration)
        let connection = try Connection(path: path, mode: .readWrite)
        try connection.execute(
            "PRAGMA foreign_keys = ON; PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0; PRAGMA secure_delete = \(configuration.secureDelete); \(configuration.pragmas)"
        )
        var workload = RandomWorkload(seed: seed, connection: connection, pageSize: configuration.pageSize)
        workload.isIncrementalVacuum = configuration.autoVacuum == 2

        let recorded = try RecordedCommits(path: path)
        let oracle = try DecoderOracle(recorded.image, connection)
        for step in 0..<configuration.steps * Self.factor {
            if workload.random.chance(5) {
                try connection.execute("PRAGMA wal_checkpoint(\(["PASSIVE", "TRUNCATE"][workload.random.below(2)]))")
            }
            try workload.step()
            let commits = try recorded.next()
            try #require(commits.count <= 1, "seed \(seed), step \(step): \(commits.count) commits")
            guard let commit = commits.first else { continue }
            let place = "\(configuration.testDescription), seed \(seed), step \(step)"
            guard try passes(oracle, commit, .frames, path, place) else { return }
        }
        #expect(oracle.rowCount > 0)
        print(
            "commit decoder oracle: \(configuration.testDescription), \(oracle.rowCount) rows, \(oracle.decoder.statistics)"
        )
    }

    /// Like a file with a rollback journal: several commits are seen as one, and only the equality of pages' bytes is
    /// known.
    @Test(arguments: configurations)
    func `rows decoded from pages that differ are the difference that SQL finds`(
        _ configuration: Configuration
    ) throws {
        let seed = Self.seed
        let scratch = try ScratchDirectory()
        let path = scratch.file("oracle.db")
        try create(path, configuration, journal: "DELETE")
        let connection = try Connection(path: path, mode: .readWrite)
        try connection.execute(
            "PRAGMA foreign_keys = ON; PRAGMA synchronous = OFF; PRAGMA secure_delete = \(configuration.secureDelete); \(configuration.pragmas)"
        )
        var workload = RandomWorkload(seed: seed, connection: connection, pageSize: configuration.pageSize)
        workload.isIncrementalVacuum = configuration.autoVacuum == 2

        var before = try DatabaseImage(readBytes(path))
        let oracle = try DecoderOracle(before, connection)
        for step in 0..<configuration.steps * Self.factor {
            for _ in 0...[0, 0, 1, 5][workload.random.below(4)] { try workload.step() }
            let after = try DatabaseImage(readBytes(path))
            let commit = RecordedCommit(before: before, after: after, changedPages: before.differences(from: after))
            let place = "\(configuration.testDescription), seed \(seed), step \(step)"
            guard try passes(oracle, commit, .differences, path, place) else { return }
            before = after
        }
        #expect(oracle.rowCount > 0)
        print("difference oracle: \(configuration.testDescription), seed \(seed), \(oracle.rowCount) rows")
    }

    /// Whether another connection finds the file sound. SQLite 3.40.1 itself can lose a page: with `auto_vacuum`, seed
    /// 637008 makes a transaction create an index, drop a table in a savepoint and roll the savepoint back. The writer's
    /// cache then has a page that the file lacks; Python's `sqlite3` module writes the same file from the same
    /// statements.
    private func isSound(_ path: String) throws -> Bool {
        let connection = try Connection(path: path, mode: .readWrite)
        defer { connection.close() }
        do throws(SQLiteError) {
            return try connection.query("PRAGMA integrity_check") == [[.text("ok")]]
        } catch {
            guard error.code.primary == .corrupt else { throw error }
            return false
        }
    }

    /// Checks a commit; false if SQLite has left the file unsound, which ends the run.
    private func passes(
        _ oracle: DecoderOracle,
        _ commit: RecordedCommit,
        _ evidence: CommitDecoder.Evidence,
        _ path: String,
        _ place: String
    ) throws -> Bool {
        do {
            try oracle.check(commit, evidence, place)
            return true
        } catch {
            guard try !isSound(path) else { throw error }
            print("SQLite left the file unsound: \(place); the decoder: \(error)")
            return false
        }
    }

    private func create(_ path: String, _ configuration: Configuration, journal: String = "WAL") throws {
        let settings = """
            PRAGMA page_size = \(configuration.pageSize);
            PRAGMA auto_vacuum = \(configuration.autoVacuum);
            PRAGMA encoding = '\(configuration.encoding)';
            """
        if configuration.reservedBytes > 0 {
            // Only the shell has a command to reserve bytes.
            let shell = Process()
            shell.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            shell.arguments = [
                "sqlite3", path, ".filectrl reserve_bytes \(configuration.reservedBytes)", settings,
                "CREATE TABLE made(x)",
            ]
            shell.standardOutput = FileHandle.nullDevice
            try shell.run()
            shell.waitUntilExit()
            try #require(shell.terminationStatus == 0)
        }
        let connection = try Connection(path: path, mode: .readWriteCreate)
        try connection.execute(settings + RandomWorkload.schema)
        try connection.execute("PRAGMA journal_mode = \(journal)")
        connection.close()
        let image = try DatabaseImage(readBytes(path))
        #expect(image.pageSize == configuration.pageSize)
        #expect(image.pageSize - image.usableSize == configuration.reservedBytes)
    }
}
