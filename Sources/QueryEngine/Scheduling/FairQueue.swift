import SQLiteConnection
import Synchronization

/// A queue that serves identities in turn, of each its clients in turn, and each client's entries in order: one that asks for
/// much, over however many connections, delays the others by one entry at a time.
struct FairQueue {
    /// The shares that wait, the next one first, and of each its clients. Each is here once.
    private var turns: [QueueShare] = []
    private var clients: [QueueShare: [ClientKey]] = [:]
    private var entries: [ClientKey: [Ticket]] = [:]
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    /// Puts the entry where its client asked for it: behind those with smaller ids.
    mutating func insert(_ ticket: Ticket) {
        var waiting = entries[ticket.client, default: []]
        if waiting.isEmpty {
            if clients[ticket.share] == nil { turns.append(ticket.share) }
            clients[ticket.share, default: []].append(ticket.client)
        }
        let place = waiting.lastIndex { $0.id < ticket.id }.map { $0 + 1 } ?? 0
        waiting.insert(ticket, at: place)
        entries[ticket.client] = waiting
        count += 1
    }

    /// The first entry of the client whose turn it is, of those whose first entry may go; the client goes to the back, and so
    /// does its share.
    mutating func popFirst(where mayGo: (Ticket) -> Bool = { _ in true }) -> Ticket? {
        for share in turns {
            for client in clients[share, default: []] where entries[client]?.first.map(mayGo) ?? false {
                return popFirst(of: client)
            }
        }
        return nil
    }

    mutating func popFirst(of client: ClientKey) -> Ticket? {
        guard var waiting = entries[client], !waiting.isEmpty else { return nil }
        let ticket = waiting.removeFirst()
        count -= 1
        entries[client] = waiting.isEmpty ? nil : waiting
        var others = clients[ticket.share, default: []]
        others.removeAll { $0 == client }
        if !waiting.isEmpty { others.append(client) }
        clients[ticket.share] = others.isEmpty ? nil : others
        turns.removeAll { $0 == ticket.share }
        if !others.isEmpty { turns.append(ticket.share) }
        return ticket
    }

    /// Takes out the entries that match, in the order of the turns.
    mutating func removeAll(where matches: (Ticket) -> Bool) -> [Ticket] {
        var removed: [Ticket] = []
        for share in turns {
            for client in clients[share, default: []] {
                guard let waiting = entries[client], waiting.contains(where: matches) else { continue }
                removed += waiting.filter(matches)
                let kept = waiting.filter { !matches($0) }
                entries[client] = kept.isEmpty ? nil : kept
            }
            let left = clients[share, default: []].filter { entries[$0] != nil }
            clients[share] = left.isEmpty ? nil : left
        }
        turns.removeAll { clients[$0] == nil }
        count -= removed.count
        return removed
    }

    func first(of client: ClientKey, where matches: (Ticket) -> Bool) -> Ticket? {
        entries[client]?.first(where: matches)
    }

    /// Every entry, in no particular order.
    var all: some Sequence<Ticket> { entries.values.joined() }

    func contains(client: ClientKey) -> Bool { entries[client] != nil }
}

/// What the scheduler knows of a query.
struct Ticket: Hashable, Sendable {
    let id: UInt64
    let client: ClientKey
    /// Whose share of the queue it takes; nil for one of its client's own. The same for all queries of a client.
    var identity: String?
    var share: QueueShare { identity.map { .identity($0) } ?? .client(client) }
    /// Where it should be tried first. A reader that finds out that it writes hands it on.
    var access: Access
    /// It says BEGIN, COMMIT, SAVEPOINT or the like: what the client sends after it has to follow it in order.
    let controlsTransactions: Bool
    /// It says BEGIN before anything else.
    var begins = false
    /// It says COMMIT or ROLLBACK.
    var ends = false
    /// If it fails, there is no transaction for what the client sends behind it.
    var opens: Bool { begins && !ends }
    /// A reader may find out that it writes: see ``Scheduler/readIsSettled(_:)``.
    var mayWrite = false
    let enqueuedAt: ContinuousClock.Instant

    enum Access: Hashable, Sendable {
        case reader
        case writer
    }
}

/// What the queue is divided by.
enum QueueShare: Hashable, Sendable {
    /// All clients of an identity together.
    case identity(String)
    case client(ClientKey)
}

/// The mailbox of a thread that runs queries. The scheduler gives it one query or rollback at a time.
final class Worker: Sendable {
    enum Work {
        /// With the generation that the connection must have.
        case run(QueryControl, generation: Int)
        case rollBack(ClientKey)
        /// Close the connection; the next query opens it anew.
        case close
        case stop
    }

    private let mailbox = Mutex<[Work]>([])
    private let parker = Parker()

    func give(_ work: Work) {
        mailbox.withLock { $0.append(work) }
        parker.wake()
    }

    /// Sleeps until there is work.
    func take() -> Work {
        while true {
            if let work = mailbox.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) { return work }
            parker.sleep()
        }
    }
}
