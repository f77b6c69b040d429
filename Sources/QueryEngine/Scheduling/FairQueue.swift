/// A queue that serves identities in turn, the clients of an identity in turn, and each client's entries in order: a
/// client with many requests, over any number of connections, delays the others by one entry at a time.
struct FairQueue {
    /// The waiting shares, the next one first, each with its clients. Each share occurs once.
    private var turns: [QueueShare] = []
    private var clients: [QueueShare: [ClientKey]] = [:]
    private var entries: [ClientKey: [Ticket]] = [:]
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    /// Inserts the entry in the order in which its client sent it: after those with smaller ids.
    mutating func insert(_ ticket: Ticket) {
        count += 1
        guard Self.insert(ticket, into: &entries[ticket.client, default: []]) else { return }
        let share = ticket.share
        let isNew = clients[share] == nil
        clients[share, default: []].append(ticket.client)
        if isNew { turns.append(share) }
    }

    /// - Returns: whether the client had no entry.
    private static func insert(_ ticket: Ticket, into waiting: inout [Ticket]) -> Bool {
        let place = waiting.lastIndex { $0.id < ticket.id }.map { $0 + 1 } ?? 0
        waiting.insert(ticket, at: place)
        return waiting.count == 1
    }

    /// The first entry of the next client in turn whose first entry may run; that client goes to the back of the queue,
    /// and so does its share.
    ///
    /// - Parameters:
    ///   - mayServe: false for a share none of whose entries may run: then the time does not depend on how many it has.
    mutating func popFirst(
        ofShares mayServe: (QueueShare) -> Bool = { _ in true },
        where mayGo: (Ticket) -> Bool = { _ in true }
    ) -> Ticket? {
        for turn in turns.indices where mayServe(turns[turn]) {
            let place = clients[turns[turn]]?.firstIndex { client in entries[client]?.first.map(mayGo) ?? false }
            if let place { return popFirst(turn: turn, place: place) }
        }
        return nil
    }

    mutating func popFirst(of client: ClientKey) -> Ticket? {
        guard let share = entries[client]?.first?.share, let turn = turns.firstIndex(of: share),
            let place = clients[share]?.firstIndex(of: client)
        else { return nil }
        return popFirst(turn: turn, place: place)
    }

    /// - Parameters:
    ///   - turn: the index of the share.
    ///   - place: the index of the client among those of the share.
    private mutating func popFirst(turn: Int, place: Int) -> Ticket {
        let share = turns.remove(at: turn)
        let client = clients[share, default: []].remove(at: place)
        let ticket = entries[client, default: []].removeFirst()
        count -= 1
        if entries[client, default: []].isEmpty {
            entries[client] = nil
        } else {
            clients[share, default: []].append(client)
        }
        if clients[share, default: []].isEmpty {
            clients[share] = nil
        } else {
            turns.append(share)
        }
        return ticket
    }

    /// Removes the matching entries, in the order of the turns.
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

/// The scheduler's view of a query.
struct Ticket: Hashable, Sendable {
    let id: UInt64
    let client: ClientKey
    /// The identity whose share of the queue it uses; nil for a share of the client's own. The same for all queries of
    /// a client.
    var identity: String?
    var share: QueueShare { identity.map { .identity($0) } ?? .client(client) }
    /// Where it should be tried first. A reader that finds that it writes passes it on.
    var access: Access
    /// It contains BEGIN, COMMIT, SAVEPOINT or the like: later requests of the client must follow it in order.
    let controlsTransactions: Bool
    /// It begins with BEGIN.
    var begins = false
    /// It contains COMMIT or ROLLBACK.
    var ends = false
    /// If it fails, there is no transaction for the client's next queries.
    var opens: Bool { begins && !ends }
    /// A reader may find that it writes: see ``Scheduler/readIsSettled(_:)``.
    var mayWrite = false
    let enqueuedAt: ContinuousClock.Instant

    enum Access: Hashable, Sendable {
        case reader
        case writer
    }
}

/// The unit by which the queue is divided.
enum QueueShare: Hashable, Sendable {
    /// All clients of an identity together.
    case identity(String)
    case client(ClientKey)

    var isOfIdentity: Bool { if case .identity = self { true } else { false } }
}
