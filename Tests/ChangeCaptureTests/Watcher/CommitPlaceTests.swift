import SQLiteConnection
import Testing

@testable import ChangeCapture

/// Own commits and those of other processes to a file with a rollback journal.
@Suite struct CommitPlaceTests {
    private static let file = FileIdentity(device: 1, inode: 2)
    private static let table = TableDescription(
        name: "t",
        kind: .table,
        sql: "CREATE TABLE t(a)",
        columns: [],
        primaryKey: [],
        hasRowid: true,
        rowidAlias: nil
    )

    private static func commit(_ token: UInt64, _ counter: UInt32?, file: FileIdentity = file)
        -> LocalCommitLedger.Commit
    {
        let place = counter.map { CommitPlace(file: file, changeCounter: $0) }
        return .init(token: token, frameCount: nil, place: place, changes: Self.row(Int64(token)))
    }

    private static func row(_ value: Int64) -> ChangeSet {
        var rows = TableRows(changedTable: Self.table)
        rows.rows = [RowChange(operation: .insert, rowid: value, before: nil, after: Row([.integer(value)]))]
        return ChangeSet(origin: .service, events: [.rows(rows)])
    }

    private static func span(_ start: UInt32, _ end: UInt32, lastEnded: UInt64 = 0) -> CommitSpan {
        CommitSpan(file: file, start: start, end: end, lastEnded: lastEnded)
    }

    @Test func `the counter says in which state a commit is`() {
        let span = Self.span(10, 12)
        #expect(
            (9...13).map { span.relation(of: Self.commit(1, $0)) } == [.earlier, .earlier, .within, .within, .later]
        )
        #expect(Self.span(.max - 1, 1).count == 3)
        for counter in [UInt32.max, 0, 1] {
            #expect(Self.span(.max - 1, 1).relation(of: Self.commit(1, counter)) == .within)
        }
        #expect(Self.span(.max - 1, 1).relation(of: Self.commit(1, 2)) == .later)
        #expect(Self.span(.max - 1, 1).relation(of: Self.commit(1, .max - 1)) == .earlier)
        #expect(Self.span(5, 5).relation(of: Self.commit(1, 5)) == .earlier)
        #expect(Self.span(5, 5).relation(of: Self.commit(1, 6)) == .later)
    }

    @Test func `a commit without a place, or to another file, is in no state to come`() {
        #expect(Self.span(10, 12).relation(of: Self.commit(1, nil)) == .earlier)
        let other = FileIdentity(device: 1, inode: 3)
        #expect(Self.span(10, 12).relation(of: Self.commit(1, 11, file: other)) == .earlier)
        #expect(Self.span(10, 12).relation(of: Self.commit(1, 13, file: other)) == .earlier)
        // It had ended when a state was read that lacks it: the file was written over.
        #expect(Self.span(10, 12, lastEnded: 1).relation(of: Self.commit(1, 13)) == .earlier)
        #expect(Self.span(10, 12, lastEnded: 1).relation(of: Self.commit(2, 13)) == .later)
        #expect(Self.span(500, 3, lastEnded: 0).relation(of: Self.commit(1, 4)) == .later)
    }

    // MARK: Delivery

    private static func deliver(
        _ commits: [LocalCommitLedger.Commit],
        _ body: (CommitDelivery) -> Void
    ) throws -> (log: EventLog, left: [UInt64]) {
        let wake = try WakeSignal()
        let own = LocalCommitLedger(wake: wake, log: LogSync(databasePath: "none"))
        for commit in commits { own.didCommit(commit) }
        let log = EventLog()
        body(CommitDelivery(sink: log, own: own, hold: LogHold(), wake: wake, limits: WatcherLimits()))
        return (log, own.announced(atMost: .zero)?.map(\.token) ?? [])
    }

    private static func summary(_ log: EventLog) -> [String] {
        log.transactions.map { "\($0.token.map(String.init) ?? "other"): \($0.changes.insertedIntegers)" }
    }

    @Test func `commits of other processes are not taken for as many own ones`() throws {
        // Another process made commit 11; the own one ended after the state was read.
        let (log, left) = try Self.deliver([Self.commit(1, 12)]) { delivery in
            delivery.deliverMerged(Self.row(99), of: Self.span(10, 11), at: NoPages())
        }
        #expect(Self.summary(log) == ["other: [99]"])
        #expect(left == [1])
        let (later, rest) = try Self.deliver([Self.commit(1, 12)]) { delivery in
            delivery.deliverMerged(Self.row(1), of: Self.span(11, 12), at: NoPages())
        }
        #expect(Self.summary(later) == ["1: [1]"])
        #expect(rest == [])
    }

    @Test func `own commits among others follow them at once, without changes`() throws {
        let (log, left) = try Self.deliver([Self.commit(1, 12), Self.commit(2, 14)]) { delivery in
            delivery.deliverMerged(Self.row(99), of: Self.span(10, 12), at: NoPages())
            // The next state: the last commit of the span before is no part of it.
            delivery.deliverMerged(Self.row(98), of: Self.span(12, 13), at: NoPages())
        }
        #expect(Self.summary(log) == ["other: [99]", "1: []", "other: [98]"])
        #expect(left == [2])
    }

    @Test func `own commits without others keep their changes, whatever else is announced`() throws {
        let commits = [Self.commit(1, nil), Self.commit(2, 11), Self.commit(3, 12), Self.commit(4, 13)]
        let (log, left) = try Self.deliver(commits) { delivery in
            delivery.deliverMerged(Self.row(99), of: Self.span(10, 12), at: NoPages())
        }
        #expect(Self.summary(log) == ["1: []", "2: [2]", "3: [3]"])
        #expect(left == [4])
    }

    @Test func `a commit that is in no reported state is not late`() throws {
        let (log, left) = try Self.deliver([Self.commit(1, 10), Self.commit(2, 11)]) { delivery in
            delivery.deliverLateCommits(upTo: Self.span(10, 10))
        }
        #expect(Self.summary(log) == ["1: []"])
        #expect(left == [2])
    }

    @Test func `without a copy of the file, own rows come before the tables that may have changed`() throws {
        let unknown = ChangeSet(
            origin: .external,
            events: [.rows(TableRows(changedTable: Self.table))]
        )
        let (log, left) = try Self.deliver([Self.commit(1, 11), Self.commit(2, 13)]) { delivery in
            delivery.deliverUnknown(unknown, of: Self.span(10, 12))
        }
        #expect(Self.summary(log) == ["1: [1]", "other: []"])
        #expect(left == [2])
        let (own, _) = try Self.deliver([Self.commit(1, 11)]) { $0.deliverUnknown(unknown, of: Self.span(10, 11)) }
        #expect(Self.summary(own) == ["1: [1]"])
    }

    // MARK: The whole watcher

    @Test(arguments: ["delete", "truncate", "persist"])
    func `a merged own commit does not give its name to the next one of another process`(journalMode: String) throws {
        let database = try TemporaryDatabase("CREATE TABLE t(a)", journalMode: journalMode)
        let gate = Monitor((isClosed: true, hasArrived: false))
        let log = EventLog { event in
            guard event.inserted(0) else { return }
            gate.update { $0.hasArrived = true }
            _ = gate.wait(atMost: .seconds(60)) { $0.isClosed ? nil : true }
        }
        let watcher = try DatabaseWatcher(path: database.path, sink: log)
        try watcher.start()
        let foreign = try Connection(path: database.path, mode: .readWrite)
        let own = try Connection(path: database.path, mode: .readWrite)
        for connection in [foreign, own] {
            try connection.execute("PRAGMA journal_mode = \(journalMode)")
            connection.setBusyTimeout(.seconds(30))
        }
        var place: CommitPlace?
        own.setCommitHook { [unowned own] in
            place = own.placeOfCommit
            watcher.localCommits.willCommit()
            return .commit
        }
        try foreign.execute("INSERT INTO t VALUES(0)")
        #expect(gate.wait(atMost: .seconds(60)) { $0.hasArrived ? true : nil } == true)
        // The watcher sees these two as one.
        try own.execute("INSERT INTO t VALUES(1)")
        watcher.localCommits.didCommit(.init(token: 1, frameCount: nil, place: place, changes: nil))
        try foreign.execute("INSERT INTO t VALUES(2)")
        gate.update { $0.isClosed = false }
        #expect(log.wait { $0.inserted(2) })
        try foreign.execute("INSERT INTO t VALUES(3)")
        #expect(log.wait { $0.inserted(3) })
        #expect(watcher.localCommits.waitUntilDelivered(1, atMost: .seconds(30)))
        watcher.stop()
        #expect(Self.summary(log) == ["other: [0]", "other: [1, 2]", "1: []", "other: [3]"])
    }

    @Test func `the place is known before the commit, and nil for one that writes nothing or to a log`() throws {
        let database = try TemporaryDatabase()
        let connection = try Connection(path: database.path, mode: .readWriteCreate)
        var places: [UInt32?] = []
        connection.setCommitHook { [unowned connection] in
            places.append(connection.placeOfCommit?.changeCounter)
            return .commit
        }
        func run(_ sql: String) throws -> [UInt32?] {
            places = []
            try connection.execute(sql)
            return places
        }
        #expect(try run("CREATE TABLE t(a)") == [1])
        #expect(try run("INSERT INTO t VALUES(1)") == [2])
        #expect(try run("BEGIN; INSERT INTO t VALUES(2); DELETE FROM t WHERE a = 2; COMMIT") == [3])
        // SQLite does not write a page that stays the same.
        #expect(try run("UPDATE t SET a = a") == [nil])
        #expect(try run("BEGIN IMMEDIATE; COMMIT") == [nil])
        #expect(try run("BEGIN IMMEDIATE; CREATE TEMP TABLE x AS SELECT 1; COMMIT") == [nil])
        #expect(try run("BEGIN; SAVEPOINT s; INSERT INTO t VALUES(2); ROLLBACK TO s; COMMIT") == [4])
        #expect(connection.placeOfLastCommit?.changeCounter == 4)
        let before = try #require(connection.placeOfLastCommit)
        #expect(try run("VACUUM") == [])
        #expect(connection.placeOfVacuum(since: before)?.changeCounter == 5)
        try connection.execute("INSERT INTO t VALUES(3)")
        #expect(connection.placeOfVacuum(since: before) == nil)
        for mode in ["truncate", "persist", "memory"] {
            try connection.execute("PRAGMA journal_mode = \(mode)")
            let last = try #require(connection.placeOfLastCommit?.changeCounter)
            #expect(try run("INSERT INTO t VALUES(4)") == [last + 1])
            #expect(try run("BEGIN IMMEDIATE; COMMIT") == [nil])
        }
        try connection.execute("PRAGMA journal_mode = wal")
        #expect(try run("INSERT INTO t VALUES(5)") == [nil])
        #expect(connection.placeOfLastCommit == nil)
    }
}

private struct NoPages: PageReader {
    let pageSize = 512
    let usableSize = 512
    let pageCount: UInt32 = 0

    func withPage<R>(
        _ number: UInt32,
        _ body: (UnsafeRawBufferPointer) throws(WALDecodeError) -> R
    ) throws(WALDecodeError) -> R {
        throw WALDecodeError(page: number, .pageOutOfRange)
    }
}
