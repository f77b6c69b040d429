/// A queue that serves clients in turn and each client's entries in order, so that one who asks for much delays the
/// others by one entry at a time.
struct FairQueue {
    /// The clients that wait, the next one first. Each is here once.
    private var turns: [ClientKey] = []
    private var entries: [ClientKey: [Ticket]] = [:]
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    mutating func append(_ ticket: Ticket) {
        if entries[ticket.client, default: []].isEmpty { turns.append(ticket.client) }
        entries[ticket.client, default: []].append(ticket)
        count += 1
    }

    /// The next entry; its client goes to the back.
    mutating func popFirst() -> Ticket? {
        turns.first.flatMap { popFirst(of: $0) }
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

    /// Every entry, in no particular order.
    var all: some Sequence<Ticket> { entries.values.joined() }

    func contains(client: ClientKey) -> Bool { entries[client] != nil }
}
