import ChangeCapture
import Foundation
import QueryEngine
import RandomSupport
import SQLiteConnection
import Testing

/// Many clients at once: writes, transactions, reads, errors, cancels and disconnects at random times. Afterwards
/// everything that was reported as done exists, nothing else does, and the reported commits together produce the file.
struct ConcurrencyTests {
    private static let clients = 8
    private static let steps = Int(ProcessInfo.processInfo.environment["TABLECAST_CONCURRENCY_STEPS"] ?? "") ?? 40

    /// The results that one client received: tokens that must be in the ledger, and those that must not.
    private struct Account {
        var present: Set<String> = []
        var absent: Set<String> = []
    }

    @Test func `many clients at random: nothing is lost, nothing is invented, the commits make up the file`()
        async throws
    {
        var random = SeededGenerator.announced()
        let harness = try Harness(
            """
            CREATE TABLE ledger(id INTEGER PRIMARY KEY, token TEXT UNIQUE);
            CREATE TABLE t(id INTEGER PRIMARY KEY, v INTEGER);
            INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 500) SELECT n, n FROM c;
            """
        ) {
            $0.limits.readerCount = 2
            $0.checkpointFrames = 50
        }
        let initial = try Self.contents(harness)
        let account = await withTaskGroup(of: Account.self) { group in
            for client in 0..<Self.clients {
                let seed = random.next()
                group.addTask { await Self.play(harness, client: client, seed: seed) }
            }
            return await group.reduce(into: Account()) { total, part in
                total.present.formUnion(part.present)
                total.absent.formUnion(part.absent)
            }
        }
        #expect(await harness.service.shutDown())
        let ledger = Set(
            try harness.database.query("SELECT token FROM ledger").compactMap { row -> String? in
                if case .text(let token) = row[0] { token } else { nil }
            }
        )
        #expect(account.present.isSubset(of: ledger), "lost: \(account.present.subtracting(ledger))")
        #expect(account.absent.isDisjoint(with: ledger), "invented: \(account.absent.intersection(ledger))")
        #expect(ledger.isSubset(of: account.present), "untold: \(ledger.subtracting(account.present))")
        #expect(try Self.replay(harness.commits.all, from: initial) == Self.contents(harness))
        let frames = harness.commits.all.count
        print("\(frames) commits, \(account.present.count) tokens present, \(account.absent.count) absent")
        #expect(account.present.count > Self.clients)
    }

    // MARK: What a client does

    private static func play(_ harness: Harness, client: Int, seed: UInt64) async -> Account {
        var random = SeededGenerator(seed: seed)
        var account = Account()
        for step in 0..<steps {
            let name = "c\(client)-\(step)"
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<3: await autocommit(harness, name, &random, &account)
            case 3..<6: await transaction(harness, name, &random, &account)
            case 6: await failingScript(harness, name, &account)
            case 7: await cancelledWrite(harness, name, &random, &account)
            default: await cancelledRead(harness, name, &random)
            }
        }
        return account
    }

    private static func write(_ token: String, _ random: inout SeededGenerator) -> String {
        let id = Int.random(in: 1...600, using: &random)
        let change =
            switch Int.random(in: 0..<4, using: &random) {
            case 0: "UPDATE t SET v = v + 1 WHERE id % 50 = \(id % 50)"
            case 1: "DELETE FROM t WHERE id = \(id)"
            case 2: "INSERT OR REPLACE INTO t VALUES (\(id), \(id))"
            default: "INSERT INTO t VALUES (\(id), 1) ON CONFLICT DO UPDATE SET v = v + 10"
            }
        return "INSERT INTO ledger(token) VALUES ('\(token)'); \(change)"
    }

    private static func autocommit(
        _ harness: Harness,
        _ name: String,
        _ random: inout SeededGenerator,
        _ account: inout Account
    ) async {
        let end = await harness.run(write(name, &random), client: name).end
        if end.outcome != nil { account.present.insert(name) } else { account.absent.insert(name) }
    }

    private static func transaction(
        _ harness: Harness,
        _ name: String,
        _ random: inout SeededGenerator,
        _ account: inout Account
    ) async {
        var tokens: Set<String> = []
        guard await harness.run("BEGIN", client: name).end.outcome != nil else { return }
        for index in 0..<Int.random(in: 1...4, using: &random) {
            let token = "\(name)-\(index)"
            let mustUndo = Int.random(in: 0..<4, using: &random) == 0
            if mustUndo { await harness.run("SAVEPOINT s", client: name) }
            let end = await harness.run(write(token, &random), client: name).end
            if mustUndo { await harness.run("ROLLBACK TO s; RELEASE s", client: name) }
            if end.outcome != nil, !mustUndo { tokens.insert(token) } else { account.absent.insert(token) }
        }
        switch Int.random(in: 0..<4, using: &random) {
        case 0:
            harness.service.clientDisconnected(ClientKey(name))
            account.absent.formUnion(tokens)
        case 1:
            await harness.run("ROLLBACK", client: name)
            account.absent.formUnion(tokens)
        default:
            let end = await harness.run("COMMIT", client: name).end
            if end.outcome != nil { account.present.formUnion(tokens) } else { account.absent.formUnion(tokens) }
        }
    }

    private static func failingScript(_ harness: Harness, _ name: String, _ account: inout Account) async {
        let sql =
            "INSERT INTO ledger(token) VALUES ('\(name)'); UPDATE t SET v = 0; INSERT INTO ledger(token) VALUES ('\(name)')"
        let end = await harness.run(sql, client: name).end
        #expect(end.failure?.code == .constraint)
        account.absent.insert(name)
    }

    private static func cancelledWrite(
        _ harness: Harness,
        _ name: String,
        _ random: inout SeededGenerator,
        _ account: inout Account
    ) async {
        let running = harness.start(
            """
            INSERT INTO ledger(token) VALUES ('\(name)');
            UPDATE t SET v = v + 1;
            INSERT INTO t(v) WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 3000) SELECT n FROM c;
            DELETE FROM t WHERE id > 600
            """,
            client: name
        )
        await pause(&random)
        if Bool.random(using: &random) {
            harness.service.cancel(running.queryId, by: .administrator)
        } else {
            harness.service.clientDisconnected(ClientKey(name))
        }
        // A cancel during the commit is too late, and then the query completes.
        let end = await running.sink.end()
        #expect(end.failure == nil)
        if end.outcome != nil { account.present.insert(name) } else { account.absent.insert(name) }
    }

    private static func cancelledRead(_ harness: Harness, _ name: String, _ random: inout SeededGenerator) async {
        let running = harness.start("SELECT count(*), sum(a.v + b.v) FROM t a, t b", client: name)
        await pause(&random)
        if Bool.random(using: &random) { harness.service.cancel(running.queryId, by: .administrator) }
        let end = await running.sink.end()
        #expect(end.failure == nil)
        if let row = running.sink.log.rows.first { #expect(end.outcome != nil && row.count == 2) }
    }

    /// Lets other tasks run for a random number of turns.
    private static func pause(_ random: inout SeededGenerator) async {
        for _ in 0..<Int.random(in: 0..<30, using: &random) { await Task.yield() }
    }

    // MARK: The oracle

    private typealias Tables = [String: [Int64: [SQLiteValue]]]

    private static func contents(_ harness: Harness) throws -> Tables {
        var tables: Tables = [:]
        for table in ["ledger", "t"] {
            var rows: [Int64: [SQLiteValue]] = [:]
            for row in try harness.database.query("SELECT id, * FROM \(table)") {
                if case .integer(let id) = row[0] { rows[id] = Array(row.dropFirst()) }
            }
            tables[table] = rows
        }
        return tables
    }

    /// Applies the commits in the order in which they were reported, and checks each row before it changes.
    private static func replay(_ commits: [ServiceCommit], from initial: Tables) -> Tables {
        var tables = initial
        for commit in commits {
            for case .rows(let changed) in commit.changes.events {
                for change in changed.rows {
                    guard let rowid = change.rowid else { continue }
                    #expect(tables[changed.table.name]?[rowid] == change.before?.values)
                    tables[changed.table.name]?[rowid] = change.after?.values
                }
            }
        }
        return tables
    }
}
