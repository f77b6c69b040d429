import Testing

@testable import QueryEngine

extension Ticket {
    init(
        _ id: UInt64,
        of client: ClientKey,
        _ access: Access = .writer,
        controls: Bool = false,
        begins: Bool = false,
        ends: Bool = false,
        at time: ContinuousClock.Instant
    ) {
        self.init(
            id: id,
            client: client,
            access: access,
            controlsTransactions: controls || begins || ends,
            begins: begins,
            ends: ends,
            enqueuedAt: time
        )
    }
}

extension Scheduler {
    /// Two readers, and limits that a test can reach: writers wait for 5 s.
    init(
        readers: Int = 2,
        spareReaders: Int = 0,
        maxQueries: Int = 10,
        maxQueriesPerClient: Int,
        idle: Duration = .seconds(3),
        transaction: Duration = .seconds(20)
    ) {
        self.init(
            readerCount: readers,
            spareReaders: spareReaders,
            limits: Limits(
                maxQueries: maxQueries,
                maxQueriesPerClient: maxQueriesPerClient,
                busyTimeout: .seconds(5),
                idleTimeout: idle,
                maxTransactionTime: transaction
            )
        )
    }

    /// Runs a BEGIN, which leaves its transaction open.
    mutating func begin(_ ticket: Ticket, at now: ContinuousClock.Instant) {
        #expect(submit(ticket) == nil)
        _ = assign()
        writerFinished(ticket, transaction: .open, at: now)
        writerIsReady()
    }
}
