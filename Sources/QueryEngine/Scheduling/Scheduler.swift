/// Decides which query runs where and when. A pure state machine: it runs nothing, knows no threads, and is told the time.
///
/// Readers take queries in turns by identity and client. The one writer does too, except that an open transaction holds it for its
/// client: then only that client's queries run on it, in order, until the transaction ends, idles too long, or its client
/// goes.
struct Scheduler {
    struct Limits {
        var maxQueries: Int
        var maxQueriesPerClient: Int
        var busyTimeout: Duration
        var idleTimeout: Duration
        var maxTransactionTime: Duration
    }

    /// Why a query may not enter.
    enum Refusal: Hashable {
        case tooManyQueries
        case tooManyQueriesOfClient
        /// It has as many as there are free places.
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

    /// What a worker has to do now.
    enum Assignment: Hashable {
        case read(Ticket, reader: Int)
        case write(Ticket)
        /// Roll back the transaction of a client that went or idled.
        case rollBack(ClientKey)
    }

    /// What to do with a query that somebody wants to end.
    enum Withdrawal: Hashable {
        /// It had not begun and is out of the queue, and so is what was meant for its transaction.
        case removed(Ticket, orphaned: [Ticket])
        /// A worker has it: interrupt it.
        case running(Ticket)
        case unknown
    }

    private struct Holder {
        let client: ClientKey
        let since: ContinuousClock.Instant
        var idleSince: ContinuousClock.Instant
        var mustRollBack = false
        /// The file is another one now; what runs may still end the transaction by itself.
        var isLost = false
    }

    private let limits: Limits
    private var readQueue = FairQueue()
    private var writeQueue = FairQueue()
    private let readerCount: Int
    private var idleReaders: [Int]
    /// What each of the other readers is busy with.
    private var reading: [Int: Ticket] = [:]
    /// Reads that sleep for their receivers. They take no time, so that others may run in their stead.
    private var pausedReads: Set<UInt64> = []
    private var running: [UInt64: Ticket] = [:]
    private var isWriterBusy = false
    private var holder: Holder?
    /// Queries per client, waiting and running.
    private var counts: [ClientKey: Int] = [:]
    /// Queries per identity, waiting and running.
    private var identityCounts: [String: Int] = [:]
    /// What was sent last by clients that wait for no answers, whether it was taken or refused.
    private var lastIds: [ClientKey: UInt64] = [:]
    /// Queries per client that control transactions, waiting and running.
    private var controlCounts: [ClientKey: Int] = [:]
    /// Clients whose transaction was rolled back behind their back, or never began, and who have not said yet that they take
    /// it for over.
    private var aborted: [ClientKey: Refusal] = [:]
    /// Reads that may turn out to write, and have not yet.
    private var unsettled: [UInt64: ClientKey] = [:]
    /// Clients that went while a query of theirs ran: it may still begin a transaction.
    private var departed: Set<ClientKey> = []
    private(set) var isShuttingDown = false

    /// - Parameters:
    ///   - readerCount: reads that run at the same time.
    ///   - spareReaders: workers beyond those, for when reads sleep.
    init(readerCount: Int, spareReaders: Int = 0, limits: Limits) {
        self.limits = limits
        self.readerCount = readerCount
        idleReaders = Array((0..<readerCount + spareReaders).reversed())
    }

    var queryCount: Int { running.count + readQueue.count + writeQueue.count }
    /// Nothing runs, waits or is held open.
    var isQuiet: Bool { queryCount == 0 && !isWriterBusy && holder == nil }

    // MARK: Queries come and go

    mutating func submit(_ ticket: Ticket) -> Refusal? {
        if isShuttingDown { return .shuttingDown }
        if let why = aborted[ticket.client] {
            // Whoever begins another transaction knows that the one before is over.
            if ticket.begins || ticket.ends { aborted[ticket.client] = nil }
            if !ticket.begins { return why }
        }
        let count = counts[ticket.client, default: 0]
        lastIds[ticket.client] = count > 0 ? ticket.id : nil
        if let refusal = refusal(of: ticket, clientCount: count) {
            // Nor does it wait for the answer to this one.
            if ticket.opens, count > 0 { aborted[ticket.client] = .transactionRolledBack }
            return refusal
        }
        counts[ticket.client, default: 0] += 1
        if let identity = ticket.identity { identityCounts[identity, default: 0] += 1 }
        enqueue(ticket)
        if ticket.controlsTransactions { controlCounts[ticket.client, default: 0] += 1 }
        return nil
    }

    /// An identity may have as many queries as there are free places: alone half of all, and whatever some take, the next one
    /// finds some left.
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

    /// Takes a client's waiting queries out and has its transaction rolled back; returns what waited and what still runs.
    mutating func disconnect(_ client: ClientKey) -> (removed: [Ticket], running: [Ticket]) {
        aborted[client] = nil
        lastIds[client] = nil
        if holder?.client == client { holder?.mustRollBack = true }
        let removed = remove { $0.client == client }
        let running = running.values.filter { $0.client == client }
        if !running.isEmpty { departed.insert(client) }
        return (removed, running)
    }

    /// The file that the open transaction changed is another one now: has it rolled back, and returns whose it was and what
    /// waited to be part of it. What runs in it comes to its end first.
    mutating func loseTransaction() -> (client: ClientKey, orphaned: [Ticket])? {
        guard let holder, !holder.mustRollBack else { return nil }
        self.holder?.isLost = true
        if running.values.contains(where: { $0.access == .writer }) { return nil }
        return (holder.client, giveUpTransaction(.transactionLost))
    }

    /// Refuses what comes from now on; returns what waited and what still runs.
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

    // MARK: Workers begin and end

    /// The work that can start now; each worker named is busy from now on.
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
        guard !readQueue.isEmpty, let reader = idleReaders.last else { return nil }
        let active = reading.values.filter { !pausedReads.contains($0.id) }
        // One reader is always left to the others, and enough workers, however many of this one's reads sleep.
        let share = max(readerCount - 1, 1)
        let workers = max(reading.count + idleReaders.count - readerCount, share)
        let next = readQueue.popFirst { [reading, readerCount] ticket in
            // An identity none of whose reads runs does not wait for those of others: a spare worker takes it.
            let hasRoom =
                active.count < readerCount
                || ticket.identity != nil && !active.contains { $0.share == ticket.share }
            return hasRoom && active.count { $0.client == ticket.client } < share
                && reading.values.count { $0.share == ticket.share } < workers
        }
        guard let ticket = next else { return nil }
        idleReaders.removeLast()
        reading[reader] = ticket
        running[ticket.id] = ticket
        return .read(ticket, reader: reader)
    }

    private mutating func nextForWriter() -> Assignment? {
        guard let holder else {
            return writeQueue.popFirst { [unsettled] ticket in
                // What the client asked for before BEGIN must not become part of the transaction.
                !ticket.controlsTransactions
                    || !unsettled.contains { $0.value == ticket.client && $0.key < ticket.id }
            }
            .map { .write($0) }
        }
        if holder.mustRollBack { return .rollBack(holder.client) }
        return writeQueue.popFirst(of: holder.client).map { .write($0) }
    }

    /// The query sleeps until its receiver takes rows again.
    mutating func readPaused(_ id: UInt64) { pausedReads.insert(id) }

    /// It goes on, even if more reads than usual run then.
    mutating func readResumed(_ id: UInt64) { pausedReads.remove(id) }

    /// The reader found out that the query only reads.
    mutating func readIsSettled(_ id: UInt64) { unsettled[id] = nil }

    /// The query is over for its client. Its worker can still be busy.
    mutating func readEnded(_ ticket: Ticket) {
        pausedReads.remove(ticket.id)
        if running.removeValue(forKey: ticket.id) != nil { forget(ticket) }
    }

    /// The query is over for its client, and its worker is busy for nobody knows how long: another one may run instead.
    mutating func readAbandoned(_ ticket: Ticket) {
        readEnded(ticket)
        pausedReads.insert(ticket.id)
    }

    mutating func readerFinished(_ reader: Int, _ ticket: Ticket) {
        release(reader)
        readEnded(ticket)
    }

    /// The reader found out that the query writes.
    mutating func readerHandsOn(_ reader: Int, _ ticket: Ticket) {
        release(reader)
        running[ticket.id] = nil
        unsettled[ticket.id] = nil
        var ticket = ticket
        ticket.access = .writer
        writeQueue.insert(ticket)
    }

    private mutating func release(_ reader: Int) {
        reading[reader] = nil
        idleReaders.append(reader)
    }

    typealias Orphaned = (why: Refusal, tickets: [Ticket])

    /// The query ended and left a transaction open or not. The writer may still have work of its own: see
    /// ``writerIsReady()``.
    ///
    /// - Returns: what waited to be part of the client's transaction when that has come to its time limit, was lost, was rolled
    ///   back by SQLite or did not begin. It must not run by itself, and the client has to hear of it.
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
                // Unless it said by itself where the transaction should end.
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

    /// Has the open transaction rolled back; returns what waited to be part of it.
    private mutating func giveUpTransaction(_ why: Refusal) -> [Ticket] {
        guard let client = holder?.client else { return [] }
        holder?.mustRollBack = true
        return abort(client, why)
    }

    /// Takes out what was sent behind a BEGIN that failed. But whoever waits for the answer to its BEGIN sends nothing that
    /// needs it.
    private mutating func strand(behind ticket: Ticket) -> [Ticket] {
        guard ticket.opens, lastIds[ticket.client, default: 0] > ticket.id else { return [] }
        return abort(ticket.client, .transactionRolledBack, behind: ticket.id)
    }

    /// Takes out what was meant to be part of a transaction that is gone: up to the COMMIT or ROLLBACK, or before another BEGIN,
    /// and if that has not come yet, what will come too.
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

    /// Ends what waited too long: returns the queries that fail with `BUSY`, and the client whose transaction ``assign()``
    /// will have rolled back.
    ///
    /// What is orphaned was sent behind a BEGIN among those.
    mutating func tick(at now: ContinuousClock.Instant) -> (busy: [Ticket], orphaned: [Ticket], ended: Ended?) {
        guard let holder else { return ([], [], nil) }
        let latest = now - limits.busyTimeout
        func hasWaited(_ ticket: Ticket) -> Bool {
            ticket.client != holder.client && ticket.access == .writer && max(ticket.enqueuedAt, holder.since) <= latest
        }
        // Before the COMMIT goes that says how far the transaction would have reached.
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

    /// When ``tick(at:)`` next has something to do, as things stand.
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
