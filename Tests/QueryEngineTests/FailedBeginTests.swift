import SQLiteConnection
import Testing

@testable import QueryEngine

/// A client that does not wait for the result of its BEGIN: when that fails, no later query may run by itself.
@Suite struct FailedBeginTests {
    @Test func `what was sent behind a BEGIN that another process keeps out is not run`() async throws {
        let harness = try Harness("CREATE TABLE t(v)") { $0.limits.busyTimeout = .milliseconds(500) }
        let foreign = try Connection(path: harness.database.path, mode: .readWrite)
        // The service may be opening its connections.
        foreign.setBusyTimeout(.seconds(10))
        try foreign.execute("BEGIN IMMEDIATE; INSERT INTO t VALUES ('foreign')")
        let begin = harness.start("BEGIN IMMEDIATE")
        let within = harness.start("INSERT INTO t VALUES ('within')")
        let commit = harness.start("COMMIT")
        let behind = harness.start("INSERT INTO t VALUES ('behind')")
        #expect(await begin.sink.end().failure?.code == .busy)
        try foreign.execute("COMMIT")
        #expect(await within.sink.end().failure?.code == .transactionRolledBack)
        #expect(await commit.sink.end().failure?.code == .transactionRolledBack)
        #expect(await behind.sink.end().outcome != nil)
        #expect(try harness.database.query("SELECT v FROM t") == [[.text("foreign")], [.text("behind")]])
    }

    // MARK: Decisions only

    private let start = ContinuousClock.now

    private func scheduler() -> Scheduler {
        Scheduler(maxQueriesPerClient: 5, idle: .seconds(30), transaction: .seconds(60))
    }

    private func ticket(
        _ id: UInt64,
        _ sql: String = "INSERT",
        of client: String = "ada",
        after seconds: Int = 0
    ) -> Ticket {
        Ticket(
            id,
            of: ClientKey(client),
            controls: sql != "INSERT",
            begins: sql == "BEGIN",
            ends: sql == "COMMIT",
            at: start + .seconds(seconds)
        )
    }

    private func submit(_ tickets: [Ticket], to scheduler: inout Scheduler) {
        for ticket in tickets { #expect(scheduler.submit(ticket) == nil) }
    }

    @Test(arguments: ["COMMIT", "BEGIN"])
    func `it reaches up to the COMMIT, or before another BEGIN`(last: String) {
        var scheduler = scheduler()
        let (begin, insert, last, after) = (ticket(1, "BEGIN"), ticket(2), ticket(3, last), ticket(4))
        submit([begin], to: &scheduler)
        #expect(scheduler.assign() == [.write(begin)])
        submit([insert, last, after], to: &scheduler)
        let orphaned = scheduler.writerFinished(begin, transaction: .none, at: start)
        #expect(orphaned?.why == .transactionRolledBack)
        #expect(orphaned?.tickets == (last.ends ? [insert, last] : [insert]))
        scheduler.writerIsReady()
        #expect(scheduler.assign() == [.write(last.ends ? after : last)])
    }

    @Test func `what is still to come belongs to it when something had come`() {
        var scheduler = scheduler()
        submit([ticket(1, "BEGIN")], to: &scheduler)
        _ = scheduler.assign()
        submit([ticket(2)], to: &scheduler)
        #expect(scheduler.writerFinished(ticket(1, "BEGIN"), transaction: .none, at: start)?.tickets == [ticket(2)])
        #expect(scheduler.submit(ticket(3)) == .transactionRolledBack)
        #expect(scheduler.submit(ticket(4, "COMMIT")) == .transactionRolledBack)
        submit([ticket(5)], to: &scheduler)
    }

    @Test func `a client that waits for the answer may continue without a transaction`() {
        var scheduler = scheduler()
        submit([ticket(1, "BEGIN")], to: &scheduler)
        _ = scheduler.assign()
        #expect(scheduler.writerFinished(ticket(1, "BEGIN"), transaction: .none, at: start) == nil)
        submit([ticket(2)], to: &scheduler)
    }

    @Test func `a BEGIN that is cancelled before its turn takes along what follows`() {
        var scheduler = scheduler()
        submit([ticket(1, of: "bob")], to: &scheduler)
        _ = scheduler.assign()
        submit([ticket(2), ticket(3, "BEGIN"), ticket(4), ticket(5, "COMMIT"), ticket(6)], to: &scheduler)
        #expect(
            scheduler.withdraw(3)
                == .removed(ticket(3, "BEGIN"), orphaned: [ticket(4), ticket(5, "COMMIT")])
        )
        #expect(scheduler.withdraw(5) == .unknown)
        #expect(scheduler.withdraw(6) == .removed(ticket(6), orphaned: []))
    }

    @Test func `a BEGIN that waits too long for another client takes along what came later`() {
        var scheduler = scheduler()
        scheduler.begin(ticket(1, "BEGIN", of: "bob"), at: start)
        let later = ticket(5, after: 2)
        submit([ticket(2, "BEGIN"), ticket(3, after: 1), ticket(4, "COMMIT", after: 2), later], to: &scheduler)
        let told = scheduler.tick(at: start + .seconds(5))
        #expect(told.busy == [ticket(2, "BEGIN")])
        #expect(told.orphaned == [ticket(3, after: 1), ticket(4, "COMMIT", after: 2)])
        #expect(scheduler.tick(at: start + .seconds(7)).busy == [later])
    }

    @Test func `a BEGIN that is one too many takes along what follows, if the client waits for nothing`() {
        var scheduler = scheduler()
        submit((1...5).map { ticket($0) }, to: &scheduler)
        #expect(scheduler.submit(ticket(6, "BEGIN")) == .tooManyQueriesOfClient)
        _ = scheduler.withdraw(1)
        #expect(scheduler.submit(ticket(7)) == .transactionRolledBack)
        #expect(scheduler.submit(ticket(8, "COMMIT")) == .transactionRolledBack)
        submit([ticket(9)], to: &scheduler)
    }
}
