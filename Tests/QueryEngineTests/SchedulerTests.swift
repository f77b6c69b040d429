import Testing

@testable import QueryEngine

struct SchedulerTests {
    private let start = ContinuousClock.now

    private func scheduler(readers: Int = 2, spareReaders: Int = 0) -> Scheduler {
        Scheduler(readers: readers, spareReaders: spareReaders, maxQueriesPerClient: 4)
    }

    private func ticket(
        _ id: UInt64,
        _ client: String,
        _ access: Ticket.Access = .reader,
        controls: Bool = false,
        begins: Bool = false,
        ends: Bool = false,
        after seconds: Int = 0
    ) -> Ticket {
        Ticket(
            id,
            of: ClientKey(client),
            access,
            controls: controls,
            begins: begins,
            ends: ends,
            at: start + .seconds(seconds)
        )
    }

    @Test func `clients take turns, regardless of their number of queries`() {
        var scheduler = scheduler(readers: 1)
        for id in 1...3 { #expect(scheduler.submit(ticket(UInt64(id), "ada")) == nil) }
        #expect(scheduler.submit(ticket(4, "bob")) == nil)
        var order: [UInt64] = []
        while case .read(let ticket, let reader)? = scheduler.assign().first {
            order.append(ticket.id)
            scheduler.readerFinished(reader, ticket)
        }
        #expect(order == [1, 4, 2, 3])
        #expect(scheduler.isQuiet)
    }

    @Test func `a read that sleeps lets another one run, and continues regardless`() {
        var scheduler = scheduler(readers: 1, spareReaders: 1)
        for (id, client) in ["ada", "bob", "eve"].enumerated() { _ = scheduler.submit(ticket(UInt64(id), client)) }
        #expect(scheduler.assign() == [.read(ticket(0, "ada"), reader: 0)])
        scheduler.readPaused(0)
        #expect(scheduler.assign() == [.read(ticket(1, "bob"), reader: 1)])
        scheduler.readPaused(1)
        #expect(scheduler.assign() == [], "no worker is left")
        scheduler.readResumed(0)
        scheduler.readerFinished(1, ticket(1, "bob"))
        #expect(scheduler.assign() == [], "the first runs again")
        scheduler.readerFinished(0, ticket(0, "ada"))
        #expect(scheduler.assign() == [.read(ticket(2, "eve"), reader: 0)])
    }

    @Test func `a read that ended counts no more, and its worker is busy until it is done`() {
        var scheduler = scheduler(readers: 1)
        for id in 1...4 { #expect(scheduler.submit(ticket(UInt64(id), "ada")) == nil) }
        #expect(scheduler.assign() == [.read(ticket(1, "ada"), reader: 0)])
        scheduler.readEnded(ticket(1, "ada"))
        #expect(scheduler.withdraw(1) == .unknown)
        #expect(scheduler.submit(ticket(5, "ada")) == nil)
        #expect(scheduler.submit(ticket(6, "ada")) == .tooManyQueriesOfClient)
        #expect(scheduler.assign() == [])
        scheduler.readerFinished(0, ticket(1, "ada"))
        #expect(scheduler.assign() == [.read(ticket(2, "ada"), reader: 0)])
        #expect(scheduler.submit(ticket(6, "ada")) == .tooManyQueriesOfClient, "the first is not given back twice")
    }

    @Test func `a client leaves one reader to the others, and its sleeping reads do not count`() {
        var scheduler = scheduler(readers: 3, spareReaders: 3)
        for id in 1...4 { _ = scheduler.submit(ticket(UInt64(id), "ada")) }
        #expect(scheduler.assign() == [.read(ticket(1, "ada"), reader: 0), .read(ticket(2, "ada"), reader: 1)])
        _ = scheduler.submit(ticket(5, "bob"))
        #expect(scheduler.assign() == [.read(ticket(5, "bob"), reader: 2)])
        scheduler.readPaused(1)
        #expect(scheduler.assign() == [.read(ticket(3, "ada"), reader: 3)])
        scheduler.readerFinished(2, ticket(5, "bob"))
        #expect(scheduler.assign() == [])
        scheduler.readerFinished(1, ticket(2, "ada"))
        #expect(scheduler.assign() == [.read(ticket(4, "ada"), reader: 1)])
    }

    @Test func `however many reads of a client sleep, the others have as many workers as there are readers`() {
        var scheduler = scheduler(spareReaders: 2)
        for id in 1...4 { _ = scheduler.submit(ticket(UInt64(id), "ada")) }
        for id in 1...2 {
            #expect(scheduler.assign() == [.read(ticket(UInt64(id), "ada"), reader: id - 1)])
            scheduler.readPaused(UInt64(id))
        }
        #expect(scheduler.assign() == [])
        for id in 5...6 { _ = scheduler.submit(ticket(UInt64(id), "c\(id)")) }
        #expect(scheduler.assign().count == 2)
        scheduler.readerFinished(0, ticket(1, "ada"))
        scheduler.readerFinished(2, ticket(5, "c5"))
        #expect(scheduler.assign() == [.read(ticket(3, "ada"), reader: 2)])
    }

    @Test func `a query that may write and was sent before BEGIN runs before it`() {
        var scheduler = scheduler(readers: 1)
        var unsettled = ticket(1, "ada")
        unsettled.mayWrite = true
        var settled = ticket(2, "ada")
        settled.mayWrite = true
        let begin = ticket(3, "ada", .writer, controls: true)
        for ticket in [unsettled, settled, begin] { _ = scheduler.submit(ticket) }
        #expect(scheduler.assign() == [.read(unsettled, reader: 0)])
        _ = scheduler.submit(ticket(4, "bob", .writer))
        #expect(scheduler.assign() == [.write(ticket(4, "bob", .writer))], "others need not wait for it")
        scheduler.writerFinished(ticket(4, "bob", .writer), transaction: .none, at: start)
        scheduler.writerIsReady()
        scheduler.readerHandsOn(0, unsettled)
        unsettled.access = .writer
        #expect(scheduler.assign() == [.read(settled, reader: 0), .write(unsettled)])
        scheduler.writerFinished(unsettled, transaction: .none, at: start)
        scheduler.writerIsReady()
        #expect(scheduler.assign() == [])
        scheduler.readIsSettled(2)
        #expect(scheduler.assign() == [.write(begin)])
    }

    @Test func `a transaction that SQLite rolled back takes along what was meant to be part of it`() {
        var scheduler = scheduler()
        scheduler.begin(ticket(1, "ada", .writer, controls: true), at: start)
        let update = ticket(2, "ada", .writer)
        let insert = ticket(3, "ada", .writer)
        let commit = ticket(4, "ada", .writer, ends: true)
        let after = ticket(5, "ada", .writer)
        for ticket in [update, insert] { _ = scheduler.submit(ticket) }
        #expect(scheduler.assign() == [.write(update)])
        for ticket in [commit, after] { _ = scheduler.submit(ticket) }
        let orphaned = scheduler.writerFinished(update, transaction: .lost, at: start)
        #expect(orphaned?.why == .transactionRolledBack)
        #expect(orphaned?.tickets == [insert, commit])
        scheduler.writerIsReady()
        #expect(scheduler.assign() == [.write(after)])
    }

    @Test(arguments: [true, false])
    func `without a COMMIT everything fails until there is one, or another BEGIN`(begins: Bool) {
        var scheduler = scheduler()
        scheduler.begin(ticket(1, "ada", .writer, controls: true), at: start)
        let update = ticket(2, "ada", .writer)
        _ = scheduler.submit(update)
        _ = scheduler.assign()
        #expect(scheduler.writerFinished(update, transaction: .lost, at: start)?.tickets == [])
        scheduler.writerIsReady()
        #expect(scheduler.submit(ticket(3, "ada")) == .transactionRolledBack)
        #expect(scheduler.submit(ticket(4, "ada", .writer)) == .transactionRolledBack)
        #expect(scheduler.submit(ticket(5, "bob", .writer)) == nil)
        let last = ticket(6, "ada", .writer, begins: begins, ends: !begins)
        #expect(scheduler.submit(last) == (begins ? nil : .transactionRolledBack))
        #expect(scheduler.submit(ticket(7, "ada")) == nil)
    }

    @Test func `limits refuse, and are given back`() {
        var scheduler = scheduler(readers: 1)
        for id in 1...4 { #expect(scheduler.submit(ticket(UInt64(id), "ada")) == nil) }
        #expect(scheduler.submit(ticket(5, "ada")) == .tooManyQueriesOfClient)
        for id in 6...11 { #expect(scheduler.submit(ticket(UInt64(id), "c\(id)")) == nil) }
        #expect(scheduler.submit(ticket(12, "eve")) == .tooManyQueries)
        #expect(scheduler.withdraw(2) == .removed(ticket(2, "ada"), orphaned: []))
        #expect(scheduler.submit(ticket(5, "ada")) == nil)
        #expect(scheduler.withdraw(2) == .unknown)
    }

    @Test func `a transaction holds the writer only for its client`() {
        var scheduler = scheduler()
        _ = scheduler.submit(ticket(1, "ada", .writer, controls: true))
        _ = scheduler.submit(ticket(2, "bob", .writer))
        _ = scheduler.submit(ticket(3, "ada", .reader))
        #expect(scheduler.assign() == [.write(ticket(1, "ada", .writer, controls: true))])
        scheduler.writerFinished(ticket(1, "ada", .writer, controls: true), transaction: .open, at: start)
        scheduler.writerIsReady()
        // The read follows its transaction to the writer, ahead of the other client.
        #expect(scheduler.assign() == [.write(ticket(3, "ada", .writer))])
        scheduler.writerFinished(ticket(3, "ada", .writer), transaction: .none, at: start)
        #expect(scheduler.assign() == [], "the writer has still work of its own")
        scheduler.writerIsReady()
        #expect(scheduler.assign() == [.write(ticket(2, "bob", .writer))])
    }

    @Test func `what a reader hands on waits for the writer`() {
        var scheduler = scheduler()
        _ = scheduler.submit(ticket(1, "ada"))
        guard case .read(let given, let reader)? = scheduler.assign().first else { return #expect(Bool(false)) }
        scheduler.readerHandsOn(reader, given)
        #expect(scheduler.assign() == [.write(ticket(1, "ada", .writer))])
    }

    @Test func `an idle transaction is rolled back and its client refused until it acknowledges that`() {
        var scheduler = scheduler()
        scheduler.begin(ticket(1, "ada", .writer, controls: true), at: start)
        #expect(scheduler.nextTick == start + .seconds(3))
        #expect(scheduler.tick(at: start + .seconds(2)).ended == nil)
        #expect(scheduler.tick(at: start + .seconds(3)).ended?.client == ClientKey("ada"))
        #expect(scheduler.assign() == [.rollBack(ClientKey("ada"))])
        scheduler.writerRolledBack()
        scheduler.writerIsReady()
        #expect(scheduler.submit(ticket(2, "ada")) == .transactionTimedOut)
        #expect(scheduler.submit(ticket(3, "ada")) == .transactionTimedOut)
        #expect(scheduler.submit(ticket(4, "ada", .writer, ends: true)) == .transactionTimedOut)
        #expect(scheduler.submit(ticket(5, "ada")) == nil)
    }

    @Test func `a transaction that is never idle still ends at its limit, and takes what waits for it along`() {
        var scheduler = scheduler()
        scheduler.begin(ticket(1, "ada", .writer, controls: true), at: start)
        for second in 1...19 {
            let busy = ticket(UInt64(second) + 1, "ada", .writer, after: second)
            _ = scheduler.submit(busy)
            #expect(scheduler.assign() == [.write(busy)])
            #expect(scheduler.writerFinished(busy, transaction: .open, at: start + .seconds(second)) == nil)
            scheduler.writerIsReady()
        }
        #expect(scheduler.nextTick == start + .seconds(20))
        let last = ticket(30, "ada", .writer, after: 19)
        let late = ticket(31, "ada", .writer, after: 19)
        let other = ticket(32, "bob", .writer, after: 19)
        for ticket in [last, late, other] { _ = scheduler.submit(ticket) }
        _ = scheduler.assign()
        #expect(scheduler.tick(at: start + .seconds(20)).ended == nil, "what runs comes to its end")
        let orphaned = scheduler.writerFinished(last, transaction: .open, at: start + .seconds(21))
        #expect(orphaned?.tickets == [late])
        #expect(orphaned?.why == .transactionTooLong)
        scheduler.writerIsReady()
        #expect(scheduler.assign() == [.rollBack(ClientKey("ada"))])
        #expect(scheduler.tick(at: start + .seconds(21)).ended == nil, "once")
        scheduler.writerRolledBack()
        scheduler.writerIsReady()
        #expect(scheduler.assign() == [.write(other)])
        #expect(scheduler.submit(ticket(33, "ada")) == .transactionTooLong)
        #expect(scheduler.submit(ticket(34, "ada", .writer, begins: true)) == nil)
    }

    @Test func `a transaction lost with its file fails its waiting queries, and its client is notified`() {
        var scheduler = scheduler()
        scheduler.begin(ticket(1, "ada", .writer, begins: true), at: start)
        let (running, waiting) = (ticket(2, "ada", .writer), ticket(3, "ada", .writer))
        let (commit, after) = (ticket(4, "ada", .writer, ends: true), ticket(5, "ada", .writer))
        for ticket in [running, waiting, commit, after] { _ = scheduler.submit(ticket) }
        #expect(scheduler.assign() == [.write(running)])
        #expect(scheduler.loseTransaction() == nil, "what runs may end it by itself")
        let orphaned = scheduler.writerFinished(running, transaction: .open, at: start)
        #expect(orphaned?.why == .transactionLost)
        #expect(orphaned?.tickets == [waiting, commit])
        #expect(scheduler.loseTransaction() == nil, "once")
        #expect(scheduler.tick(at: start).ended == nil, "once")
        scheduler.writerIsReady()
        #expect(scheduler.assign() == [.rollBack(ClientKey("ada"))])
        scheduler.writerRolledBack()
        scheduler.writerIsReady()
        #expect(scheduler.assign() == [.write(after)])
    }

    @Test func `a COMMIT that ends after the limit has committed`() {
        var scheduler = scheduler()
        scheduler.begin(ticket(1, "ada", .writer, controls: true), at: start)
        let commit = ticket(2, "ada", .writer, controls: true)
        _ = scheduler.submit(commit)
        _ = scheduler.assign()
        #expect(scheduler.tick(at: start + .seconds(30)).ended == nil)
        #expect(scheduler.writerFinished(commit, transaction: .none, at: start + .seconds(30)) == nil)
        #expect(scheduler.tick(at: start + .seconds(30)).ended == nil)
        #expect(scheduler.submit(ticket(3, "ada")) == nil)
    }

    @Test func `a writer waits for a transaction no longer than the busy timeout`() {
        var scheduler = scheduler()
        scheduler.begin(ticket(1, "ada", .writer, controls: true), at: start + .seconds(10))
        // Sent long before the transaction, and waiting for it only since that began.
        _ = scheduler.submit(ticket(2, "bob", .writer, after: 0))
        _ = scheduler.submit(ticket(3, "ada", .writer, after: 11))
        _ = scheduler.assign()
        #expect(scheduler.tick(at: start + .seconds(14)).busy.isEmpty)
        #expect(scheduler.tick(at: start + .seconds(15)).busy.map(\.id) == [2])
    }

    @Test func `a disconnect takes what waits, names what runs and rolls back`() {
        var scheduler = scheduler(readers: 1)
        let begin = ticket(1, "ada", .writer, controls: true)
        _ = scheduler.submit(begin)
        _ = scheduler.assign()
        _ = scheduler.submit(ticket(2, "ada", .writer))
        _ = scheduler.submit(ticket(3, "bob"))
        let (removed, running) = scheduler.disconnect(ClientKey("ada"))
        #expect(removed.map(\.id) == [2])
        #expect(running.map(\.id) == [1])
        scheduler.writerFinished(begin, transaction: .open, at: start)
        scheduler.writerIsReady()
        // Its BEGIN was running, and no client will continue the transaction that it opened.
        #expect(scheduler.assign().contains(.rollBack(ClientKey("ada"))))
    }

    @Test func `shutting down refuses, empties the queues and rolls back`() {
        var scheduler = scheduler()
        let begin = ticket(1, "ada", .writer, controls: true)
        _ = scheduler.submit(begin)
        _ = scheduler.assign()
        _ = scheduler.submit(ticket(2, "bob", .writer))
        #expect(scheduler.shutDown().removed.map(\.id) == [2])
        #expect(scheduler.submit(ticket(3, "eve")) == .shuttingDown)
        scheduler.writerFinished(begin, transaction: .open, at: start)
        scheduler.writerIsReady()
        #expect(scheduler.assign() == [.rollBack(ClientKey("ada"))])
        scheduler.writerRolledBack()
        scheduler.writerIsReady()
        #expect(scheduler.isQuiet)
    }
}

/// The share of the queue that one identity may use, over any number of clients.
struct SchedulerShareTests {
    private let now = ContinuousClock.now

    private func read(_ id: UInt64, _ client: String, _ identity: String?) -> Ticket {
        var ticket = Ticket(id, of: ClientKey(client), .reader, at: now)
        ticket.identity = identity
        return ticket
    }

    @Test func `an identity has as many places as are left, so that the next one finds some`() {
        var scheduler = Scheduler(maxQueries: 100, maxQueriesPerClient: 32)
        var counts: [String: Int] = [:]
        var id: UInt64 = 0
        for identity in ["ada", "bob", "eve"] {
            for client in 0..<40 {
                for _ in 0..<32 {
                    id += 1
                    let refusal = scheduler.submit(read(id, "\(identity) \(client)", identity))
                    if refusal == nil {
                        counts[identity, default: 0] += 1
                    } else {
                        #expect(refusal == .tooManyQueriesOfIdentity)
                    }
                }
            }
        }
        #expect(counts == ["ada": 50, "bob": 25, "eve": 13])
        #expect(scheduler.submit(read(id + 1, "zoe", "zoe")) == nil)
        // What has ended leaves its place.
        for ended in 1...19 { _ = scheduler.withdraw(UInt64(ended)) }
        #expect(scheduler.submit(read(id + 2, "ada 50", "ada")) == .tooManyQueriesOfIdentity)
        _ = scheduler.withdraw(20)
        #expect(scheduler.submit(read(id + 3, "ada 50", "ada")) == nil)
    }

    @Test func `identities take turns, regardless of their number of clients`() {
        var scheduler = Scheduler(readers: 1, maxQueries: 100, maxQueriesPerClient: 32)
        var id: UInt64 = 0
        for client in 0..<10 {
            for _ in 0..<2 {
                id += 1
                #expect(scheduler.submit(read(id, "ada \(client)", "ada")) == nil)
            }
        }
        for _ in 0..<2 {
            id += 1
            #expect(scheduler.submit(read(id, "bob", "bob")) == nil)
        }
        var order: [UInt64] = []
        while case .read(let ticket, let reader)? = scheduler.assign().first {
            order.append(ticket.id)
            scheduler.readerFinished(reader, ticket)
        }
        #expect(order.prefix(6) == [1, 21, 3, 22, 5, 7])
        #expect(order.count == 22 && scheduler.isQuiet)
    }

    @Test func `an identity whose reads do not run yet takes a spare worker when all readers are busy`() {
        var scheduler = Scheduler(readers: 2, spareReaders: 2, maxQueries: 100, maxQueriesPerClient: 32)
        for (id, client) in [(1, "a"), (2, "b"), (3, "c")] { _ = scheduler.submit(read(UInt64(id), client, "ada")) }
        #expect(scheduler.assign().count == 2)
        _ = scheduler.submit(read(4, "bob", "bob"))
        #expect(scheduler.assign() == [.read(read(4, "bob", "bob"), reader: 2)])
        _ = scheduler.submit(read(5, "bob", "bob"))
        _ = scheduler.submit(read(6, "nobody", nil))
        #expect(scheduler.assign() == [])
    }

    @Test func `the reads of an identity that sleep leave workers to the others`() {
        var scheduler = Scheduler(readers: 2, spareReaders: 2, maxQueries: 100, maxQueriesPerClient: 32)
        for id in 1...8 {
            _ = scheduler.submit(read(UInt64(id), "ada \(id)", "ada"))
            for case .read(let ticket, _) in scheduler.assign() { scheduler.readPaused(ticket.id) }
        }
        _ = scheduler.submit(read(9, "bob", "bob"))
        #expect(scheduler.assign().count == 1)
    }
}
