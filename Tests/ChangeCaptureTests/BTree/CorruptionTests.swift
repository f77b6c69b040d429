import ChangeCapture
import Foundation
import OracleSupport
import RandomSupport
import SQLiteConnection
import Testing

/// Random damage, from single bits to numbers that an attacker would choose: at most an error, never a crash or an
/// endless loop.
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

    @Test(.timeLimit(.minutes(10)), arguments: [0, 1])
    func `hostile pages and a schema that does not fit them give an error that names a page`(_ autoVacuum: Int) throws {
        let seed = UInt64.random(in: 0..<1_000_000)
        print("hostile pages: auto_vacuum \(autoVacuum), seed \(seed)")
        var random = SeededGenerator(seed: seed)
        let (commit, catalog) = try recordedCommit(autoVacuum)
        let pageCount = UInt32(commit.after.bytes.count / 512)
        for _ in 0..<Self.rounds {
            var before = commit.before.bytes
            var after = commit.after.bytes
            attack(&before, random.below(2), &random)
            attack(&after, 1 + random.below(4), &random)
            let trees = catalog.trees.dropFirst().map { tree in
                var tree = tree
                if random.chance(20) { tree.rootPage = Self.hostileNumber(pageCount, &random) }
                if random.chance(10) { tree.kind = .withoutRowidTable }
                return tree
            }
            let next = random.chance(50) ? TreeCatalog(encoding: .utf16BigEndian, trees: trees) : nil
            if let error = decode(before, after, commit.changedPages, catalog, next) {
                #expect(error.description.hasPrefix("page "))
            }
        }
    }

    @Test func `hostile records give no row or another one`() throws {
        let seed = UInt64.random(in: 0..<1_000_000)
        print("hostile records: seed \(seed)")
        var random = SeededGenerator(seed: seed)
        let layouts = try recordedCommit(0).1.trees.compactMap(\.layout)
        var decoder = RecordDecoder()
        for _ in 0..<100 * Self.rounds {
            var record = (0..<random.below(40)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            // A header of this many bytes, and long varints in it.
            if random.chance(70), !record.isEmpty { record[0] = UInt8(random.below(record.count + 2)) }
            for index in record.indices.dropFirst() where random.chance(20) { record[index] = 0xff }
            record.withUnsafeBytes { record in
                for layout in layouts {
                    let encoding = TextEncoding(rawValue: UInt32(1 + random.below(3))) ?? .utf8
                    _ = decoder.row(record, rowid: .min, layout: layout, encoding: encoding)?.values
                }
                for count in 0...3 { _ = RecordKey(record, fieldCount: count).map { $0.isEqual(to: $0) } }
            }
        }
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
        _ catalog: TreeCatalog,
        _ next: TreeCatalog? = nil
    ) -> WALDecodeError? {
        do {
            let old = try DatabaseImage(before)
            let new = try DatabaseImage(after)
            guard old.pageSize == new.pageSize, old.usableSize == new.usableSize else { return nil }
            let decoder = try CommitDecoder(old, catalog: catalog)
            _ = try decoder.touchesSchema(before: old, after: new, changedPages: changedPages)
            let tables = try decoder.decode(
                before: old,
                after: new,
                changedPages: changedPages,
                schema: next.map { .changed($0, []) } ?? .unchanged
            )
            // The rows of damaged pages can be read without harm.
            for row in tables.flatMap(\.rows) { _ = (row.before?.values, row.after?.values) }
            _ = try decoder.verify(against: new)
            return nil
        } catch {
            return error
        }
    }

    private func damage(_ bytes: inout [UInt8], _ count: Int, _ random: inout SeededGenerator) {
        for _ in 0..<count {
            // Half of the damage hits the headers and pointers at the beginning of pages, where it has the most effect.
            let page = random.below(bytes.count / 512)
            let offset = random.chance(50) ? random.below(20) : random.below(512)
            bytes[page * 512 + offset] ^= UInt8(1 << random.below(8))
        }
    }

    /// Writes values that do not occur by accident: the largest and smallest numbers, other pages' numbers, long
    /// varints, one page in the place of another.
    private func attack(_ bytes: inout [UInt8], _ count: Int, _ random: inout SeededGenerator) {
        let pageCount = bytes.count / 512
        for _ in 0..<count {
            let start = random.below(pageCount) * 512
            switch random.below(4) {
            case 0:
                let other = random.below(pageCount) * 512
                bytes.replaceSubrange(start..<start + 512, with: Array(bytes[other..<other + 512]))
            case 1:
                let offset = start + random.below(503)
                bytes.replaceSubrange(offset..<offset + 9, with: repeatElement(0xff, count: 9))
            default:
                // After the file's magic and page size, without which nothing else is read.
                let offset = start + (start == 0 ? 20 + random.below(80) : random.below(40))
                withUnsafeBytes(of: Self.hostileNumber(UInt32(pageCount), &random).bigEndian) {
                    bytes.replaceSubrange(offset..<offset + 4, with: $0)
                }
            }
        }
    }

    private static func hostileNumber(_ pageCount: UInt32, _ random: inout SeededGenerator) -> UInt32 {
        let numbers = [0, 1, pageCount, pageCount + 1, 0x7fff_ffff, 0x8000_0000, .max - 1, .max]
        return random.chance(50) ? numbers[random.below(numbers.count)] : UInt32(1 + random.below(Int(pageCount)))
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
