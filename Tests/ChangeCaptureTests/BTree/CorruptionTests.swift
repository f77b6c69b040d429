import ChangeCapture
import Foundation
import SQLiteConnection
import Testing

/// Bits flipped at random: an error at most, never a crash and never a loop.
@Suite struct CorruptionTests {
    private static let rounds =
        ProcessInfo.processInfo.environment["TABLECAST_FUZZ_ROUNDS"].flatMap(Int.init) ?? 400

    @Test(.timeLimit(.minutes(10)), arguments: [0, 1])
    func `damaged pages give an error that names a page, or another result`(_ autoVacuum: Int) throws {
        let seed = UInt64.random(in: 0..<1_000_000)
        print("corruption: auto_vacuum \(autoVacuum), seed \(seed)")
        var random = SeededGenerator(seed: seed)
        let (commit, catalog) = try recordedCommit(autoVacuum)
        let clean = (before: commit.before.bytes, after: commit.after.bytes)
        var failures = 0
        for _ in 0..<Self.rounds {
            var before = clean.before
            var after = clean.after
            damage(&before, random.below(3), &random)
            damage(&after, random.below(6), &random)
            if let error = decode(before, after, commit.changedPages, catalog) {
                failures += 1
                #expect(error.description.hasPrefix("page "))
            }
        }
        #expect(failures > 0)
    }

    @Test(.timeLimit(.minutes(10)))
    func `a damaged log gives an error or fewer frames`() throws {
        let seed = UInt64.random(in: 0..<1_000_000)
        print("damaged log: seed \(seed)")
        var random = SeededGenerator(seed: seed)
        let clean = Fixture.bytes("three-commits.db-wal")
        for _ in 0..<Self.rounds {
            var log = clean
            damage(&log, 1 + random.below(4), &random)
            log.removeLast(random.below(log.count))
            log.withUnsafeBytes { log in
                guard var reader = try? WALFrameReader(log) else { return }
                var count = 0
                while reader.next() != nil { count += 1 }
                #expect(count <= 6)
            }
        }
    }

    private func decode(
        _ before: [UInt8],
        _ after: [UInt8],
        _ changedPages: [UInt32],
        _ catalog: TreeCatalog
    ) -> WALDecodeError? {
        do {
            let old = try DatabaseImage(before)
            let new = try DatabaseImage(after)
            guard old.pageSize == new.pageSize, old.usableSize == new.usableSize else { return nil }
            let decoder = try CommitDecoder(old, catalog: catalog)
            _ = try decoder.touchesSchema(before: old, after: new, changedPages: changedPages)
            let tables = try decoder.decode(before: old, after: new, changedPages: changedPages)
            // The rows of damaged pages can be looked at without harm.
            for row in tables.flatMap(\.rows) { _ = (row.before?.values, row.after?.values) }
            _ = try decoder.verify(against: new)
            return nil
        } catch {
            return error
        }
    }

    private func damage(_ bytes: inout [UInt8], _ count: Int, _ random: inout SeededGenerator) {
        for _ in 0..<count {
            // Half of the damage hits the headers and pointers at the beginning of pages, where it hurts.
            let page = random.below(bytes.count / 512)
            let offset = random.chance(50) ? random.below(20) : random.below(512)
            bytes[page * 512 + offset] ^= UInt8(1 << random.below(8))
        }
    }

    private func recordedCommit(_ autoVacuum: Int) throws -> (RecordedCommit, TreeCatalog) {
        let scenario = try Scenario(
            """
            CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB); CREATE INDEX i ON t(x);
            CREATE TABLE w(k PRIMARY KEY, x) WITHOUT ROWID; CREATE TABLE gone(x);
            WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 60)
            INSERT INTO t SELECT i, zeroblob(i * 20) FROM c;
            INSERT INTO w SELECT id, x FROM t; INSERT INTO gone SELECT x FROM t; DROP TABLE gone
            """,
            settings: "PRAGMA page_size = 512; PRAGMA auto_vacuum = \(autoVacuum);"
        )
        let catalog = scenario.decoder.catalog
        let (commit, _) = try scenario.record(
            """
            BEGIN; UPDATE t SET x = zeroblob(id * 15) WHERE id % 3 = 0; DELETE FROM t WHERE id BETWEEN 20 AND 40;
            UPDATE t SET x = CAST(zeroblob(length(x) - 1) || x'01' AS BLOB) WHERE id > 55;
            INSERT INTO t SELECT k + 100, x FROM w WHERE k % 2; UPDATE w SET x = 'y' WHERE k % 4 = 0;
            DELETE FROM w WHERE k < 10; COMMIT
            """
        )
        return (commit, catalog)
    }
}
