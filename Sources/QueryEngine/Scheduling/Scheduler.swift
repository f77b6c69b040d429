/// Decides which query runs where and when. A pure state machine: it runs nothing, knows no threads, and receives the
/// time as an argument.
///
/// Readers take queries in turns by identity and client. The single writer does too, except while a transaction is
/// open: then only queries of its client run on it, in order, until the transaction ends, idles too long, or its client
/// disconnects.
struct Scheduler {
    struct Limits {
        var maxQueries: Int
        var maxQueriesPerClient: Int
        var busyTimeout: Duration
        var idleTimeout: Duration
        var maxTransactionTime: Duration
    }

    /// Why a query is refused.
    enum Refusal: Hashable {
        case tooManyQueries
        case tooManyQueriesOfClient
        /// The identity has as many queries as there are free places.
        case tooManyQueriesOfIdentity
        /// It was idle for too long.
        case transactionTimedOut
        /// It was open for too long.
        case transactionTooLong
        case transactionLost
        /// SQLite rolled it back, or its BEGIN failed.
        case transactionRolledBack
        case shuttingDown
    }

    /// The next action of a worker.
    enum Assignment: Hashable {
        case read(Ticket, reader: Int)
        case write(Ticket)
        /// Roll back the transaction of a client that disconnected or idled.
        case rollBack(ClientKey)
    }

    /// The result of withdrawing a query.
    enum Withdrawal: Hashable {
        /// It had not begun and is out of the queue, with the queries that were meant for its transaction.
        case removed(Ticket, orphaned: [Ticket])
        /// A worker runs it: interrupt it.
        case running(Ticket)
        case unknown
    }

    private struct Holder {
        let client: ClientKey
        let since: ContinuousClock.Instant
        var idleSince: ContinuousClock.Instant
        var mustRollBack = false
        /// The file was replaced; a running query may still end the transaction itself.
        var isLost = false
    }

    private let limits: Limits
    private var readQueue = FairQueue()
    private var writeQueue = FairQueue()
    private var readers: ReaderPool
    private var running: [UInt64: Ticket] = [:]
    private var isWriterBusy = false
    private var holder: Holder?
    /// Queries per client, waiting and running.
    private var counts: [ClientKey: Int] = [:]
    /// Queries per identity, waiting and running.
    private var identityCounts: [String: Int] = [:]
    /// The last id, accepted or refused, of clients that send without waiting for results.
    private var lastIds: [ClientKey: UInt64] = [:]
    /// Queries per client that control transactions, waiting and running.
    private var controlCounts: [ClientKey: Int] = [:]
    /// Clients whose transaction was rolled back without their request, or never began, and that have not acknowledged
    /// its end yet.
    private var aborted: [ClientKey: Refusal] = [:]
    /// Reads that may still turn out to write.
    private var unsettled: [UInt64: ClientKey] = [:]
    /// Clients that disconnected while a query of theirs ran: it may still begin a transaction.
    private var departed: Set<ClientKey> = []
    private(set) var isShuttingDown = false

    /// - Parameters:
    ///   - readerCount: reads that run at the same time.
    ///   - spareReaders: additional workers, for when reads sleep.
    init(readerCount: Int, spareReaders: Int = 0, limits: Limits) {
        self.limits = limits
        readers = ReaderPool(readerCount: readerCount, spareReaders: spareReaders)
    }

    var queryCount: Int { running.count + readQueue.count + writeQueue.count }
    /// Whether a query waits for the writer, and may run when the present one has ended.
    var hasWaitingWrite: Bool { holder == nil && !writeQueue.isEmpty }
    /// No query runs or waits, and no transaction is open.
    var isQuiet: Bool { queryCount == 0 && !isWriterBusy && holder == nil }

    // MARK: Adding and removing queries

    mutating func submit(_ ticket: Ticket) -> Refusal? {
        if isShuttingDown { return .shuttingDown }
        if let why = aborted[ticket.client] {
            // A client that begins another transaction knows that the previous one is over.
            if ticket.begins || ticket.ends { aborted[ticket.client] = nil }
            if !ticket.begins { return why }
        }
        let count = counts[ticket.client, default: 0]
        lastIds[ticket.client] = count > 0 ? ticket.id : nil
        if let refusal = refusal(of: ticket, clientCount: count) {
            // Nor does it wait for the result of this one.
            if ticket.opens, count > 0 { aborted[ticket.client] = .transactionRolledBack }
            return refusal
        }
        counts[ticket.client, default: 0] += 1
        if let identity = ticket.identity { identityCounts[identity, default: 0] += 1 }
        enqueue(ticket)
        if ticket.controlsTransactions { controlCounts[ticket.client, default: 0] += 1 }
        return nil
    }

    /// An identity may have as many queries as there are free places: alone it gets half of all, and however many
    /// others take, the next identity finds some free.
    private func refusal(of ticket: Ticket, clientCount: Int) -> Refusal? {
        let free = limits.maxQueries - queryCount
        if free <= 0 { return .tooManyQueries }
        if clientCount >= limits.maxQueriesPerClient { return .tooManyQueriesOfClient }
        if let identity = ticket.identity, identityCounts[identity, default: 0] >= free {
            return .tooManyQueriesOfIdentity
        }
        return nil
    }

    private mutating func enqueue(_ ticket: Ticket) {
        let followsTransaction =
            holder?.client == ticket.client || controlCounts[ticket.client] != nil || ticket.controlsTransactions
        if ticket.access == .writer || followsTransaction {
            var ticket = ticket
            ticket.access = .writer
            writeQueue.insert(ticket)
        } else {
            if ticket.mayWrite { unsettled[ticket.id] = ticket.client }
            readQueue.insert(ticket)
        }
    }

    mutating func withdraw(_ id: UInt64) -> Withdrawal {
        if let ticket = running[id] { return .running(ticket) }
        guard let ticket = remove(where: { $0.id == id }).first else { return .unknown }
        return .removed(ticket, orphaned: strand(behind: ticket))
    }

    /// Removes a client's waiting queries and has its transaction rolled back; returns the removed and the running
    /// queries.
    mutating func disconnect(_ client: ClientKey) -> (removed: [Ticket], running: [Ticket]) {
        aborted[client] = nil
        lastIds[client] = nil
        if holder?.client == client { holder?.mustRollBack = true }
        let removed = remove { $0.client == client }
        let running = running.values.filter { $0.client == client }
        if !running.isEmpty { departed.insert(client) }
        return (removed, running)
    }

    /// The file of the open transaction was replaced: has the transaction rolled back, and returns its client and the
    /// queries that waited to be part of it. A running query ends first.
    mutating func loseTransaction() -> (client: ClientKey, orphaned: [Ticket])? {
        guard let holder, !holder.mustRollBack else { return nil }
        self.holder?.isLost = true
        if running.values.contains(where: { $0.access == .writer }) { return nil }
        return (holder.client, giveUpTransaction(.transactionLost))
    }

    /// Refuses new queries from now on; returns the removed and the running ones.
    mutating func shutDown() -> (removed: [Ticket], running: [Ticket]) {
        isShuttingDown = true
        holder?.mustRollBack = true
        return (remove { _ in true }, Array(running.values))
    }

    private mutating func remove(where matches: (Ticket) -> Bool) -> [Ticket] {
        let removed = readQueue.removeAll(where: matches) + writeQueue.removeAll(where: matches)
        for ticket in removed { forget(ticket) }
        return removed
    }

    private mutating func forget(_ ticket: Ticket) {
        unsettled[ticket.id] = nil
        Self.decrement(&counts, ticket.client)
        if let identity = ticket.identity { Self.decrement(&identityCounts, identity) }
        if ticket.controlsTransactions { Self.decrement(&controlCounts, ticket.client) }
        if counts[ticket.client] == nil { departed.remove(ticket.client) }
    }

    private static func decrement<Key>(_ counts: inout [Key: Int], _ key: Key) {
        guard let count = counts[key] else { return }
        counts[key] = count > 1 ? count - 1 : nil
    }

    // MARK: Starting and ending work

    /// The work that can start now; each returned worker is busy from now on.
    mutating func assign() -> [Assignment] {
        var assignments: [Assignment] = []
        while let assignment = nextRead() { assignments.append(assignment) }
        if !isWriterBusy, let work = nextForWriter() {
            isWriterBusy = true
            if case .write(let ticket) = work { running[ticket.id] = ticket }
            assignments.append(work)
        }
        return assignments
    }

    private mutating func nextRead() -> Assignment? {
        guard !readQueue.isEmpty, readers.hasIdle else { return nil }
        let next = readQueue.popFirst(
            ofShares: { [readers] share in readers.mayServe(share) },
            where: { [readers] ticket in readers.mayServe(ticket.client) }
        )
        guard let ticket = next, let reader = readers.start(ticket) else { return nil }
        running[ticket.id] = ticket
        return .read(ticket, reader: reader)
    }

    private mutating func nextForWriter() -> Assignment? {
        guard let holder else {
            let next = writeQueue.popFirst(where: { [unsettled] ticket in
                // Queries that the client sent before BEGIN must not become part of the transaction.
                !ticket.controlsTransactions
                    || !unsettled.contains { $0.value == ticket.client && $0.key < ticket.id }
            })
            return next.map { .write($0) }
        }
        if holder.mustRollBack { return .rollBack(holder.client) }
        return writeQueue.popFirst(of: holder.client).map { .write($0) }
    }

    /// The query sleeps until its receiver takes rows again.
    mutating func readPaused(_ id: UInt64) { readers.pause(id) }

    /// It continues, even if more reads than usual run then.
    mutating func readResumed(_ id: UInt64) { readers.resume(id) }

    /// The reader found that the query is read-only.
    mutating func readIsSettled(_ id: UInt64) { unsettled[id] = nil }

    /// The query is over for its client. Its worker can still be busy.
    mutating func readEnded(_ ticket: Ticket) {
        readers.resume(ticket.id)
        if running.removeValue(forKey: ticket.id) != nil { forget(ticket) }
    }

    /// The query is over for its client, and its worker is busy for an unknown time: another read may run instead.
    mutating func readAbandoned(_ ticket: Ticket) {
        readEnded(ticket)
        readers.pause(ticket.id)
    }

    mutating func readerFinished(_ reader: Int, _ ticket: Ticket) {
        readers.release(reader)
        readEnded(ticket)
    }

    /// The reader found that the query writes.
    mutating func readerHandsOn(_ reader: Int, _ ticket: Ticket) {
        readers.release(reader)
        running[ticket.id] = nil
        unsettled[ticket.id] = nil
        var ticket = ticket
        ticket.access = .writer
        writeQueue.insert(ticket)
    }

    typealias Orphaned = (why: Refusal, tickets: [Ticket])

    /// The query ended, with or without an open transaction. The writer may still have work of its own: see
    /// ``writerIsReady()``.
    ///
    /// - Returns: the queries that waited to be part of the client's transaction, when that reached its time limit, was
    ///   lost, was rolled back by SQLite or did not begin. They must not run by themselves, and the client must be
    ///   notified.
    @discardableResult
    mutating func writerFinished(
        _ ticket: Ticket,
        transaction: ClientTransaction,
        at now: ContinuousClock.Instant
    ) -> Orphaned? {
        let isGone = isShuttingDown || departed.contains(ticket.client)
        running[ticket.id] = nil
        forget(ticket)
        guard transaction == .open else {
            holder = nil
            guard !isGone else { return nil }
            if transaction == .lost {
                // Unless the query itself ends the transaction.
                return (.transactionRolledBack, ticket.ends ? [] : abort(ticket.client, .transactionRolledBack))
            }
            let orphaned = strand(behind: ticket)
            return orphaned.isEmpty ? nil : (.transactionRolledBack, orphaned)
        }
        guard var holder, holder.client == ticket.client else {
            holder = Holder(client: ticket.client, since: now, idleSince: now, mustRollBack: isGone)
            return nil
        }
        holder.idleSince = now
        self.holder = holder
        if holder.mustRollBack { return nil }
        if holder.isLost { return (.transactionLost, giveUpTransaction(.transactionLost)) }
        guard holder.since + limits.maxTransactionTime <= now else { return nil }
        return (.transactionTooLong, giveUpTransaction(.transactionTooLong))
    }

    /// Has the open transaction rolled back; returns the queries that waited to be part of it.
    private mutating func giveUpTransaction(_ why: Refusal) -> [Ticket] {
        guard let client = holder?.client else { return [] }
        holder?.mustRollBack = true
        return abort(client, why)
    }

    /// Removes the queries that were sent after a BEGIN that failed. A client that waits for the result of its BEGIN
    /// has sent none.
    private mutating func strand(behind ticket: Ticket) -> [Ticket] {
        guard ticket.opens, lastIds[ticket.client, default: 0] > ticket.id else { return [] }
        return abort(ticket.client, .transactionRolledBack, behind: ticket.id)
    }

    /// Removes the queries that were meant to be part of a lost transaction: up to the COMMIT or ROLLBACK, or before
    /// another BEGIN; if neither has arrived yet, later queries are refused too.
    private mutating func abort(_ client: ClientKey, _ why: Refusal, behind id: UInt64 = 0) -> [Ticket] {
        let end = writeQueue.first(of: client) { $0.id > id && ($0.begins || $0.ends) }
        if end == nil { aborted[client] = why }
        return remove { other in
            guard other.client == client, other.access == .writer, other.id > id else { return false }
            return end.map { other.id < $0.id || other.id == $0.id && !$0.begins } ?? true
        }
    }

    mutating func writerRolledBack() { holder = nil }

    mutating func writerIsReady() { isWriterBusy = false }

    // MARK: Time

    typealias Ended = (client: ClientKey, why: Refusal)

    /// Ends queries that waited too long: returns those that fail with `BUSY`, and the client whose transaction
    /// ``assign()`` will have rolled back.
    ///
    /// `orphaned` are the queries that were sent after a BEGIN among them.
    mutating func tick(at now: ContinuousClock.Instant) -> (busy: [Ticket], orphaned: [Ticket], ended: Ended?) {
        guard let holder else { return ([], [], nil) }
        let latest = now - limits.busyTimeout
        func hasWaited(_ ticket: Ticket) -> Bool {
            ticket.client != holder.client && ticket.access == .writer && max(ticket.enqueuedAt, holder.since) <= latest
        }
        // This precedes the removal of the COMMIT that delimits the transaction.
        let orphaned = writeQueue.all.filter { $0.opens && hasWaited($0) }.flatMap { strand(behind: $0) }
        let busy = remove(where: hasWaited)
        guard isIdle(holder), let why = limitReached(by: holder, at: now) else { return (busy, orphaned, nil) }
        _ = giveUpTransaction(why)  // nothing waits, or it would not be idle
        return (busy, orphaned, (holder.client, why))
    }

    private func limitReached(by holder: Holder, at now: ContinuousClock.Instant) -> Refusal? {
        if holder.idleSince + limits.idleTimeout <= now { return .transactionTimedOut }
        return holder.since + limits.maxTransactionTime <= now ? .transactionTooLong : nil
    }

    /// When ``tick(at:)`` next has work to do, in the current state.
    var nextTick: ContinuousClock.Instant? {
        guard let holder else { return nil }
        let idle =
            isIdle(holder)
            ? min(holder.idleSince + limits.idleTimeout, holder.since + limits.maxTransactionTime) : nil
        let busy = writeQueue.all.lazy
            .filter { $0.client != holder.client }
            .map { max($0.enqueuedAt, holder.since) + limits.busyTimeout }
            .min()
        return [idle, busy].compactMap { $0 }.min()
    }

    private func isIdle(_ holder: Holder) -> Bool {
        !isWriterBusy && !holder.mustRollBack && !writeQueue.contains(client: holder.client)
    }
}
