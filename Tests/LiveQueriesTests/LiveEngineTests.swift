import ChangeCapture
import Foundation
import SQLiteConnection
import Synchronization
import Testing

@testable import LiveQueries

@Suite struct LiveEngineTests {
    /// A database, a watcher, an engine, and the engine's events.
    ///
    /// `@unchecked Sendable`: the writer belongs to the test's own thread; everything else is behind locks.
    private final class Bench: DatabaseEventSink, LiveQuerySink, @unchecked Sendable {
        let path: String
        let writer: Connection
        let events = Monitor<[LiveQueryEvent]>([])
        private let directory: URL
        private let sequence = Atomic<UInt64>(0)
        private let parts = Mutex<(watcher: DatabaseWatcher, engine: LiveQueryEngine)?>(nil)

        var engine: LiveQueryEngine {
            get throws { try #require(parts.withLock { $0 }?.engine) }
        }

        init(
            _ sql: String,
            limits: LiveLimits = LiveLimits(),
            watcherLimits: WatcherLimits = WatcherLimits(),
            startsEngine: Bool = true
        ) throws {
            directory = FileManager.default.temporaryDirectory.appendingPathComponent("tablecast-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            path = directory.appendingPathComponent("live.db").path
            writer = try Connection(path: path, mode: .readWriteCreate)
            writer.setBusyTimeout(.seconds(60))
            try writer.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; \(sql)")
            let watcher = try DatabaseWatcher(path: path, sink: self, limits: watcherLimits)
            try watcher.start()
            let engine = LiveQueryEngine(
                path: path,
                watcher: watcher,
                sink: self,
                position: LivePosition(epoch: "e", sequence: 0),
                limits: limits,
                watcherLimits: watcherLimits
            )
            parts.withLock { $0 = (watcher, engine) }
            if startsEngine { try engine.start() }
        }

        func close() {
            let parts = parts.withLock { parts in
                defer { parts = nil }
                return parts
            }
            parts?.engine.stop()
            parts?.watcher.stop()
            writer.close()
            // It is not needed any more, and a failure does not matter.
            try? FileManager.default.removeItem(at: directory)
        }

        func receive(_ event: DatabaseEvent) {
            guard case .transaction(let transaction) = event, !transaction.changes.isEmpty else { return }
            let number = sequence.wrappingAdd(1, ordering: .relaxed).newValue
            parts.withLock { $0 }?.engine.receive(transaction, at: LivePosition(epoch: "e", sequence: number))
        }

        func receive(_ event: LiveQueryEvent) { events.update { $0.append(event) } }

        /// The first event for which `body` returns a value.
        func first<R: Sendable>(_ body: @Sendable (LiveQueryEvent) -> R?) throws -> R {
            try #require(events.wait(atMost: .seconds(30)) { events in events.lazy.compactMap(body).first })
        }

        func follow(_ sql: String, client: UInt64 = 1, since: LivePosition? = nil) throws -> LiveSubscriberID {
            try engine.subscribe(LiveQueryRequest(sql: sql, since: since), client: client)
        }

        func refusal(of id: LiveSubscriberID) throws -> LiveRefusal {
            try first { if case .refused(id, let refusal) = $0 { refusal } else { nil } }
        }

        func rows(of id: LiveSubscriberID) throws -> [Row] {
            try first { if case .snapshot(id, _, let rows, _) = $0 { rows.rows } else { nil } }
        }

        func joined(_ id: LiveSubscriberID) throws -> LiveQueryID {
            try first { if case .joined(id, let query) = $0 { query } else { nil } }
        }

        func reached(_ sequence: UInt64) throws {
            _ = try first { event -> Bool? in
                if case .reached(let position, let lagging) = event, position.sequence >= sequence, lagging.isEmpty {
                    return true
                }
                return nil
            }
        }
    }

    private static let table = "CREATE TABLE t(id INTEGER PRIMARY KEY, n); INSERT INTO t VALUES(1, 1), (2, 2)"

    @Test func `a connection may have a limited number of queries`() throws {
        var limits = LiveLimits()
        limits.maxQueriesPerClient = 1
        let bench = try Bench(Self.table, limits: limits)
        defer { bench.close() }
        _ = try bench.joined(bench.follow("SELECT n FROM t"))
        #expect(try bench.refusal(of: bench.follow("SELECT id FROM t")).code == .tooMany)
        _ = try bench.joined(bench.follow("SELECT id FROM t", client: 2))
    }

    @Test func `the number of distinct queries of all connections is limited`() throws {
        var limits = LiveLimits()
        limits.maxQueries = 1
        let bench = try Bench(Self.table, limits: limits)
        defer { bench.close() }
        let first = try bench.joined(bench.follow("SELECT n FROM t"))
        #expect(try bench.refusal(of: bench.follow("SELECT id FROM t", client: 2)).code == .tooMany)
        #expect(try bench.joined(bench.follow("SELECT n FROM t", client: 3)) == first)
    }

    @Test func `a result beyond the limits is refused, and one that grows beyond them ends`() throws {
        var limits = LiveLimits()
        limits.maxRows = 2
        let bench = try Bench(Self.table, limits: limits)
        defer { bench.close() }
        #expect(try bench.refusal(of: bench.follow("SELECT 1 FROM t UNION ALL SELECT 2 FROM t")).code == .limit)
        let query = try bench.joined(bench.follow("SELECT n, count(*) FROM t GROUP BY n"))
        try bench.writer.execute("INSERT INTO t VALUES(3, 3)")
        let refusal = try bench.first { event -> LiveRefusal? in
            if case .ended(query, _, let refusal) = event { refusal } else { nil }
        }
        #expect(refusal.code == .limit)
    }

    @Test func `a query that runs too long is refused`() throws {
        var limits = LiveLimits()
        limits.maxRunTime = .milliseconds(20)
        let bench = try Bench(Self.table, limits: limits)
        defer { bench.close() }
        let endless = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT max(i) FROM c, t"
        let refusal = try bench.refusal(of: bench.follow(endless))
        #expect(refusal.code == .limit)
        #expect(refusal.reason.contains("longer"))
    }

    @Test func `a commit of very many rows sends all rows again`() throws {
        var limits = LiveLimits()
        limits.maxChangedKeys = 10
        let bench = try Bench(Self.table, limits: limits)
        defer { bench.close() }
        let query = try bench.joined(bench.follow("SELECT n FROM t"))
        try bench.writer.execute(
            "WITH RECURSIVE c(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM c WHERE i < 40) INSERT INTO t SELECT i, i FROM c"
        )
        let rows = try bench.first { event -> Int? in
            if case .reset(let description, let rows, _) = event, description.id == query {
                rows.rows.count
            } else {
                nil
            }
        }
        #expect(rows == 33)
    }

    @Test func `a client that has missed more than is kept gets all rows`() throws {
        var limits = LiveLimits()
        limits.maxLogDeltas = 4
        let bench = try Bench(Self.table, limits: limits)
        defer { bench.close() }
        _ = try bench.joined(bench.follow("SELECT id FROM t"))
        for id in 10..<20 { try bench.writer.execute("INSERT INTO t VALUES(\(id), 0)") }
        try bench.reached(10)
        for (since, isRecovered) in [(UInt64(1), false), (9, true)] {
            let id = try bench.follow(
                "SELECT id FROM t",
                client: since,
                since: LivePosition(epoch: "e", sequence: since)
            )
            let recovered = try bench.first { event -> Bool? in
                if case .started(id, _, _, let recovered) = event { recovered } else { nil }
            }
            #expect(recovered == isRecovered)
        }
    }

    @Test func `a subscription that ended while it was compiled sends nothing`() throws {
        let bench = try Bench(Self.table)
        defer { bench.close() }
        let gone = try bench.follow("SELECT id FROM t")
        try bench.engine.unsubscribe(gone)
        _ = try bench.joined(bench.follow("SELECT n FROM t", client: 2))
        try bench.writer.execute("INSERT INTO t VALUES(5, 5)")
        try bench.reached(1)
        let said = bench.events.withLock { events in
            events.contains { if case .joined(gone, _) = $0 { true } else { false } }
        }
        #expect(!said)
    }

    @Test func `a commit that changes no column that is read is not evaluated`() throws {
        let bench = try Bench("CREATE TABLE t(id INTEGER PRIMARY KEY, n, other); INSERT INTO t VALUES(1, 1, 1)")
        defer { bench.close() }
        _ = try bench.joined(bench.follow("SELECT n FROM t WHERE id > 0"))
        try bench.writer.execute("UPDATE t SET other = 2")
        try bench.reached(1)
        let statistics = try bench.engine.statistics
        #expect(statistics.skippedSteps == 1)
        #expect(statistics.incrementalSteps == 0)
    }

    @Test func `a query without changes for a long time continues`() throws {
        var limits = LiveLimits()
        limits.maxPinTime = .milliseconds(300)
        let bench = try Bench(Self.table, limits: limits)
        defer { bench.close() }
        _ = try bench.joined(bench.follow("SELECT id FROM t"))
        // The newest state is pinned, however old it is: only later commits supersede it.
        Thread.sleep(forTimeInterval: 0.5)
        try bench.writer.execute("INSERT INTO t VALUES(7, 7)")
        try bench.reached(1)
        #expect(try bench.engine.statistics.resets == 0)
    }

    @Test func `a writer that never pauses does not make the log grow for ever`() throws {
        var limits = WatcherLimits()
        limits.forcedRestartFrameCount = 1_000
        limits.pacedRestartFrameCount = 1_000
        limits.forcedRestartRetryInterval = .milliseconds(1)
        // However slow this machine is.
        limits.forcedRestartLockWait = .seconds(30)
        limits.forcedRestartMaxHold = .seconds(30)
        limits.forcedRestartViewWait = .seconds(30)
        let sql = "CREATE TABLE t(id INTEGER PRIMARY KEY, n); INSERT INTO t VALUES(1, 1)"
        let bench = try Bench(sql, watcherLimits: limits)
        defer { bench.close() }
        _ = try bench.joined(bench.follow("SELECT n FROM t"))
        var last = 0
        var restarts = 0
        var largest = 0
        bench.writer.setWALHook { _, frames in
            if frames < last { restarts += 1 }
            last = frames
            largest = max(largest, frames)
        }
        var number: UInt64 = 0
        while restarts < 3, number < 20_000 {
            number += 1
            try bench.writer.execute("UPDATE t SET n = n + 1")
            // No faster than what is slow about a debug build; but never for as long as a pin takes to move by itself.
            if number % 20 == 0 { try bench.reached(number) }
        }
        #expect(restarts == 3)
        #expect(largest < 3_000)
        #expect(try bench.engine.statistics.resets == 0)
    }

    @Test func `the log starts at its beginning again once the writer rests`() throws {
        let bench = try Bench("CREATE TABLE t(id INTEGER PRIMARY KEY, n); INSERT INTO t VALUES(1, 1)")
        defer { bench.close() }
        _ = try bench.joined(bench.follow("SELECT n FROM t"))
        for number in 0..<2_000 { try bench.writer.execute("UPDATE t SET n = \(number)") }
        try bench.reached(2_000)
        // The pins move to the lock that keeps no frame once everything is copied; then the next commit restarts the
        // log.
        let deadline = ContinuousClock.now + .seconds(30)
        var frames = Int.max
        while frames > 1_000, ContinuousClock.now < deadline {
            Thread.sleep(forTimeInterval: 0.2)
            try bench.writer.execute("UPDATE t SET n = n + 1")
            // The watcher may be doing it.
            frames = (try? bench.writer.checkpoint(.passive).logFrames) ?? frames
        }
        #expect(frames <= 1_000)
    }

    @Test func `a plan that arrives after a rename of its columns was evaluated is compiled again`() throws {
        // The test's own thread is the coordinator's, so that the plan arrives when the test says so.
        let bench = try Bench("CREATE TABLE t(old); CREATE TABLE other(x)", startsEngine: false)
        defer { bench.close() }
        let engine = try bench.engine
        let coordinator = engine.makeCoordinator(engine)
        defer { coordinator.closeViews() }
        let id = try bench.follow("SELECT * FROM t")
        let request = LiveQueryRequest(sql: "SELECT * FROM t")
        coordinator.subscribe(id, 1, request)
        let compiler = try QueryCompiler(
            bench.writer,
            schema: SchemaSnapshot.load(from: bench.writer),
            limits: LiveLimits()
        )
        let plan = try compiler.plan(request)
        let compiled = LiveQueryEngine.Command.compiled(
            id,
            client: 1,
            request,
            LivePosition(epoch: "e", sequence: 0),
            .success(plan)
        )

        func evaluate(_ sql: String) throws {
            try bench.writer.execute(sql)
            coordinator.pending += try #require(
                engine.mailbox.wait(atMost: .seconds(30)) { mailbox in
                    defer { mailbox.pending = [] }
                    return mailbox.pending.isEmpty ? nil : mailbox.pending
                }
            )
            coordinator.evaluatePending()
        }

        try evaluate("ALTER TABLE t RENAME old TO new")
        coordinator.perform(compiled)
        #expect(coordinator.queries.isEmpty)
        #expect(coordinator.compiling.count == 1)

        // Another table's schema does not matter.
        coordinator.schemaChanges = [:]
        try evaluate("ALTER TABLE other RENAME x TO y")
        coordinator.perform(compiled)
        #expect(coordinator.queries.count == 1)
        #expect(coordinator.compiling.isEmpty)
    }

    @Test func `queries that run as a whole notice what happens while the views are lost`() throws {
        var limits = LiveLimits()
        limits.maxPinnedFrames = 0
        let bench = try Bench(Self.table, limits: limits)
        defer { bench.close() }
        _ = try bench.joined(bench.follow("SELECT n FROM t"))
        let whole = try bench.joined(bench.follow("SELECT id FROM t ORDER BY id LIMIT 5"))
        try bench.writer.execute("INSERT INTO t VALUES(3, 3)")
        let count = try bench.first { event -> Int? in
            switch event {
            case .changed(whole, let delta): delta.rows.count + 2
            case .reset(let description, let rows, _) where description.id == whole: rows.rows.count
            default: nil
            }
        }
        #expect(count == 3)
    }
}
