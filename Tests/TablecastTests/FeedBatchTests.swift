import Broadcast
import ChangeCapture
import Logging
import SQLiteConnection
import StateStore
import Synchronization
import Testing
import WireProtocol

@testable import Tablecast

/// Commits of other processes that are captured together.
@Suite struct FeedBatchTests {
    private static let table = TableDescription(
        name: "t",
        kind: .table,
        sql: "CREATE TABLE t(a)",
        columns: [],
        primaryKey: [],
        hasRowid: true,
        rowidAlias: nil
    )

    private static func rows(_ count: Int) -> ChangeEvent {
        .rows(
            TableRows(
                table: table,
                inserted: count,
                updated: 0,
                deleted: 0,
                detail: .counts,
                rows: [],
                rowsOmitted: false
            )
        )
    }

    private let database: TemporaryDatabase
    private let hub: Hub
    private let publisher: ChangePublisher
    private let feed: DatabaseFeed

    init() throws {
        database = try TemporaryDatabase("CREATE TABLE t(a)")
        var file = DatabaseConfiguration(path: database.path)
        file.state = .besideDatabase
        let logger = Logger(label: "test")
        let state = OpenedState(file, limits: StateLimits(), history: HistoryLimits(), logger)
        let metrics = ServiceMetrics()
        hub = Hub(start: state.start)
        publisher = ChangePublisher(
            hub: hub,
            databaseName: "test",
            metrics: metrics,
            rowFilters: RowFilters(),
            keeper: state.keeper
        )
        feed = DatabaseFeed(
            publisher: publisher,
            hub: hub,
            logger: logger,
            metrics: metrics,
            limits: Limits(),
            onStart: { _ in },
            onReopened: {}
        )
    }

    private func receive(_ event: ChangeEvent = rows(1), token: UInt64? = nil) {
        let changes = ChangeSet(origin: token == nil ? .external : .service, events: [event])
        var transaction = CapturedTransaction(changes: changes, token: token)
        transaction.isInBatch = true
        feed.receive(.transaction(transaction))
    }

    /// The number of published transactions.
    private var published: UInt64 { hub.position.sequence }

    private var recorded: Int { publisher.keeper?.transactions(after: 0, maxBytes: 1 << 20)?.count ?? 0 }

    @Test func `they are published when the batch ends`() {
        for _ in 0..<3 { receive() }
        #expect(published == 0)
        feed.endOfBatch()
        #expect(published == 3)
        #expect(recorded == 3)
    }

    @Test func `all of them are recorded before the first is published`() {
        let found = Mutex<[Int]>([])
        let publisher = publisher
        let follower = hub.follow {
            let count = publisher.keeper?.transactions(after: 0, maxBytes: 1 << 20)?.count ?? 0
            found.withLock { $0.append(count) }
        }
        for _ in 0..<20 { receive() }
        feed.endOfBatch()
        #expect(found.withLock { $0 } == [20])
        follower.end()
    }

    @Test func `a schema change, an own commit and another event come after those before them`() {
        receive()
        receive(.schema(.created(Self.table)))
        #expect(published == 2)
        receive()
        receive(token: 1)
        #expect(published == 4)
        receive()
        feed.receive(.notice("a notice"))
        #expect(published == 5)
    }

    @Test func `a batch without end is published in parts, and a large transaction at once`() {
        for _ in 0..<32 { receive() }
        #expect(published == 32)
        receive()
        receive(Self.rows(1_000))
        #expect(published == 34)
    }

    @Test func `a transaction without rows is not published`() {
        let transaction = CapturedTransaction(changes: ChangeSet(origin: .external, events: []))
        feed.receive(.transaction(transaction))
        feed.endOfBatch()
        #expect(published == 0)
    }
}
