/// Decides which connection is closed when a server has reached its limit. A value without sockets and clocks.
///
/// A connection is *unknown* until a request on it has identified its sender. Unknown ones are closed first: the oldest
/// of the address that has the most, so that a flood from one address displaces itself, and an identified client is
/// admitted.
struct ConnectionTable {
    typealias ID = UInt64

    /// The limits of ``ConnectionTable``.
    struct Limits: Sendable, Hashable {
        /// Connections that are not clients: unknown ones, and those of HTTP requests.
        var maxPending: Int
        /// Unknown connections of one address.
        var maxUnknownPerAddress: Int
    }

    enum Phase: Hashable {
        /// Its sender has not been identified yet.
        case unknown
        /// Its last request identified the sender; the next has not arrived.
        case idle
        /// A request of an identified sender is being answered.
        case working
        /// A WebSocket or an event stream, which are counted elsewhere.
        case client
    }

    enum Admission: Hashable {
        case admitted
        /// Close the other one.
        case evicting(ID)
        /// All existing connections are busy.
        case refused
    }

    private struct Entry {
        var address: ClientAddress?
        var phase = Phase.unknown
        /// When it entered its phase.
        var order: UInt64
    }

    private let limits: Limits
    private var entries: [ID: Entry] = [:]
    private var unknown: [ClientAddress?: Int] = [:]
    private var nextOrder: UInt64 = 0
    /// The number of connections that are not clients.
    private(set) var pendingCount = 0

    init(limits: Limits) { self.limits = limits }

    /// Adds a new connection. Without an address, as from a trusted proxy, it counts to no address.
    mutating func admit(_ id: ID, from address: ClientAddress?) -> Admission {
        var victim = victimOfShare(address)
        if victim == nil, pendingCount >= limits.maxPending {
            victim = oldestOfGreediest() ?? oldest { $0.phase == .idle }
            guard victim != nil else { return .refused }
        }
        if let victim { remove(victim) }
        insert(id, Entry(address: address, order: takeOrder()))
        return victim.map { .evicting($0) } ?? .admitted
    }

    /// Sets the address that a proxy reported for the connection; returns the connection to close for it.
    mutating func move(_ id: ID, to address: ClientAddress?) -> ID? {
        guard let entry = entries[id], entry.address != address else { return nil }
        let victim = entry.phase == .unknown ? victimOfShare(address) : nil
        if let victim { remove(victim) }
        change(id) { $0.address = address }
        return victim
    }

    mutating func enter(_ phase: Phase, _ id: ID) {
        guard let entry = entries[id], entry.phase != phase else { return }
        let order = takeOrder()
        change(id) { entry in
            entry.phase = phase
            entry.order = order
        }
    }

    mutating func remove(_ id: ID) {
        guard let entry = entries.removeValue(forKey: id) else { return }
        count(entry, -1)
    }

    private mutating func insert(_ id: ID, _ entry: Entry) {
        entries[id] = entry
        count(entry, 1)
    }

    private mutating func change(_ id: ID, _ body: (inout Entry) -> Void) {
        guard var entry = entries[id] else { return }
        remove(id)
        body(&entry)
        insert(id, entry)
    }

    private mutating func count(_ entry: Entry, _ one: Int) {
        if entry.phase != .client { pendingCount += one }
        guard entry.phase == .unknown else { return }
        let number = unknown[entry.address, default: 0] + one
        unknown[entry.address] = number > 0 ? number : nil
    }

    private mutating func takeOrder() -> UInt64 {
        nextOrder += 1
        return nextOrder
    }

    // MARK: Eviction

    private func victimOfShare(_ address: ClientAddress?) -> ID? {
        guard let address, unknown[address, default: 0] >= limits.maxUnknownPerAddress else { return nil }
        return oldest { $0.phase == .unknown && $0.address == address }
    }

    private func oldestOfGreediest() -> ID? {
        guard let most = unknown.values.max() else { return nil }
        return oldest { $0.phase == .unknown && unknown[$0.address] == most }
    }

    /// Examines every connection: there are few, and this is only needed when there are too many.
    private func oldest(_ isCandidate: (Entry) -> Bool) -> ID? {
        var found: (id: ID, order: UInt64)?
        for (id, entry) in entries where isCandidate(entry) && entry.order < found?.order ?? .max {
            found = (id, entry.order)
        }
        return found?.id
    }
}
