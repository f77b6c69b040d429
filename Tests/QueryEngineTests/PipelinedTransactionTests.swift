import RandomSupport
import Testing

@testable import QueryEngine

/// Clients that do not wait for results, randomly: a query meant for a transaction runs in it or not at all, and all
/// others run outside of transactions.
@Suite struct PipelinedTransactionTests {
    @Test func `nothing runs in another transaction than it was meant for`() {
        var random = SeededGenerator.announced()
        var totals = PipelinedClients.Totals()
        for _ in 0..<400 {
            var clients = PipelinedClients(seed: random.next())
            for _ in 0..<300 { clients.step() }
            clients.drain()
            totals.add(clients.totals)
        }
        #expect(totals.ran > 10_000 && totals.refused > 1_000 && totals.orphaned > 1_000, "\(totals)")
    }
}

/// A scheduler with its clients, and the transactions that SQLite would have open.
private struct PipelinedClients {
    struct Totals {
        var ran = 0
        var refused = 0
        var orphaned = 0

        mutating func add(_ other: Totals) {
            ran += other.ran
            refused += other.refused
            orphaned += other.orphaned
        }
    }

    private struct Client {
        /// The transaction that it assumes to be open, or is about to open.
        var transaction: UInt64?
        /// What waits or runs.
        var pending: Set<UInt64> = []
        var lastSent: UInt64 = 0
    }

    private struct Sent {
        let ticket: Ticket
        /// Nil for a query that is meant to be its own transaction.
        let transaction: UInt64?
    }

    private static let names = ["ada", "bob", "eve"].map { ClientKey($0) }

    private(set) var totals = Totals()
    private var random: SeededGenerator
    private var now = ContinuousClock.now
    private var clients = Dictionary(uniqueKeysWithValues: names.map { ($0, Client()) })
    private var sent: [UInt64: Sent] = [:]
    private var lastId: UInt64 = 0
    private var writing: Ticket?
    private var open: UInt64?
    private var scheduler = Scheduler(maxQueries: 1_000, maxQueriesPerClient: 8)

    /// The history, for the first check that fails.
    private var trace: [String] = []
    private var hasFailed = false

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    mutating func step() {
        switch random.below(100) {
        case 0..<55: submit(random.pick(Self.names))
        case 55..<85: finish()
        case 85..<93: tick(.milliseconds(random.int(1...4_000)))
        case 93..<98: cancel()
        default: strand(scheduler.loseTransaction()?.orphaned ?? [])
        }
        assign()
    }

    private mutating func check(_ holds: Bool, _ what: String) {
        if holds || hasFailed { return }
        hasFailed = true
        Issue.record("\(what), after:\n\(trace.suffix(60).joined(separator: "\n"))")
    }

    /// Everything ends, whatever has happened.
    mutating func drain() {
        for _ in 0..<1_000 where !scheduler.isQuiet {
            finish()
            tick(.seconds(1))
            assign()
        }
        let pending = clients.values.flatMap(\.pending)
        check(scheduler.isQuiet && open == nil && pending.isEmpty, "\(pending) does not end")
    }

    private mutating func submit(_ name: ClientKey) {
        let transaction = clients[name]?.transaction
        lastId += 1
        let isWithin = transaction != nil
        let begins = !isWithin && random.chance(40)
        let ends = isWithin && random.chance(25)
        let ticket = Ticket(lastId, of: name, begins: begins, ends: ends, at: now)
        // A COMMIT that is refused because of the number of queries leaves its transaction open, and the client must
        // know.
        if ends, clients[name]?.pending.count == 8 { return }
        clients[name]?.lastSent = lastId
        if begins { clients[name]?.transaction = lastId }
        if ends { clients[name]?.transaction = nil }
        let refusal = scheduler.submit(ticket)
        let verb = begins ? "BEGIN" : ends ? "COMMIT" : "INSERT"
        trace.append("\(name.rawValue) sends \(lastId) \(verb) \(refusal.map { "and hears \($0)" } ?? "")")
        if let refusal {
            totals.refused += 1
            check(isWithin || refusal == .tooManyQueriesOfClient, "\(lastId) was meant for no transaction")
        } else {
            sent[lastId] = Sent(ticket: ticket, transaction: begins ? lastId : transaction)
            clients[name]?.pending.insert(lastId)
        }
    }

    private mutating func assign() {
        for assignment in scheduler.assign() {
            switch assignment {
            case .read: Issue.record("nothing reads")
            case .rollBack:
                open = nil
                trace.append("rolled back")
                scheduler.writerRolledBack()
                scheduler.writerIsReady()
                assign()
            case .write(let ticket):
                #expect(writing == nil)
                writing = ticket
                totals.ran += 1
                let meant = sent[ticket.id]?.transaction
                trace.append("\(ticket.id) runs")
                check(open == (ticket.begins ? nil : meant), "\(ticket.id) runs in the wrong transaction")
            }
        }
    }

    /// A running query ends, with or without success.
    private mutating func finish() {
        guard let ticket = writing else { return }
        if ticket.begins {
            end(ticket, random.chance(85) ? .open : .none)
        } else if ticket.ends || open == nil {
            end(ticket, .none)
        } else {
            end(ticket, random.chance(90) ? .open : .lost)
        }
    }

    private mutating func end(_ ticket: Ticket, _ transaction: ClientTransaction) {
        writing = nil
        trace.append("\(ticket.id) ended, transaction: \(transaction)")
        if ticket.begins, transaction == .open { open = ticket.id }
        if transaction != .open { open = nil }
        let orphaned = scheduler.writerFinished(ticket, transaction: transaction, at: now)?.tickets ?? []
        if ticket.begins, transaction == .none { failed(ticket) }
        strand(orphaned)
        clients[ticket.client]?.pending.remove(ticket.id)
        scheduler.writerIsReady()
    }

    private mutating func tick(_ duration: Duration) {
        now += duration
        let (busy, orphaned, over) = scheduler.tick(at: now)
        if let over { trace.append("\(over.client.rawValue) is told \(over.why)") }
        for ticket in busy where ticket.begins { failed(ticket) }
        strand(orphaned + busy)
    }

    /// Cancels anything except a COMMIT, after which its client would have to check whether the transaction is open.
    private mutating func cancel() {
        let ids = clients.values.flatMap(\.pending).sorted()
        let waiting = ids.filter { $0 != writing?.id && sent[$0]?.ticket.ends == false }
        guard !waiting.isEmpty else { return }
        guard case .removed(let ticket, let orphaned) = scheduler.withdraw(random.pick(waiting)) else { return }
        if ticket.begins { failed(ticket) }
        strand(orphaned + [ticket])
    }

    /// A client that has sent nothing after its BEGIN waits for the answer, and abandons the transaction.
    private mutating func failed(_ begin: Ticket) {
        if clients[begin.client]?.lastSent == begin.id { clients[begin.client]?.transaction = nil }
    }

    private mutating func strand(_ tickets: [Ticket]) {
        totals.orphaned += tickets.count
        if !tickets.isEmpty { trace.append("\(tickets.map(\.id)) fail") }
        for ticket in tickets { clients[ticket.client]?.pending.remove(ticket.id) }
    }
}
