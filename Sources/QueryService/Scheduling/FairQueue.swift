/// A queue that serves clients in turn and each client's entries in order, so that one who asks for much delays the
/// others by one entry at a time.
struct FairQueue {
    /// The clients that wait, the next one first. Each is here once.
    private var turns: [ClientKey] = []
    private var entries: [ClientKey: [Ticket]] = [:]
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    /// Puts the entry where its client asked for it: behind those with smaller ids.
    mutating func insert(_ ticket: Ticket) {
        var waiting = entries[ticket.client, default: []]
        if waiting.isEmpty { turns.append(ticket.client) }
        let place = waiting.lastIndex { $0.id < ticket.id }.map { $0 + 1 } ?? 0
        waiting.insert(ticket, at: place)
        entries[ticket.client] = waiting
        count += 1
    }

    /// The first entry of the client whose turn it is, of those whose first entry may go; the client goes to the back.
    mutating func popFirst(where mayGo: (Ticket) -> Bool = { _ in true }) -> Ticket? {
        turns.first { entries[$0]?.first.map(mayGo) ?? false }.flatMap { popFirst(of: $0) }
    }

    mutating func popFirst(of client: ClientKey) -> Ticket? {
        guard var waiting = entries[client], !waiting.isEmpty else { return nil }
        let ticket = waiting.removeFirst()
        count -= 1
        turns.removeAll { $0 == client }
        if waiting.isEmpty {
            entries[client] = nil
        } else {
            entries[client] = waiting
            turns.append(client)
        }
        return ticket
    }

    /// Takes out the entries that match, in the order of the clients' turns.
    mutating func removeAll(where matches: (Ticket) -> Bool) -> [Ticket] {
        var removed: [Ticket] = []
        for client in turns {
            guard let waiting = entries[client], waiting.contains(where: matches) else { continue }
            removed += waiting.filter(matches)
            let kept = waiting.filter { !matches($0) }
            entries[client] = kept.isEmpty ? nil : kept
        }
        turns.removeAll { entries[$0] == nil }
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
