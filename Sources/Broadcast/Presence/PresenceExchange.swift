import NIOCore
package import WireProtocol

/// A neighbour in the tree of relays, with which presence is exchanged.
package enum PresenceLink: Hashable, Sendable {
    /// A relay that is a client of this server.
    case relay(ClientID)
    /// The source of this relay.
    case source
}

/// The users that are connected to other processes, and what each neighbour must still receive. A value without I/O.
///
/// Neighbours report changed users, each as a whole: so a report can be delayed, and then contains only the newest state. What a
/// neighbour has reported is never sent back to it; so in a tree every report ends. A user that is reported by several, as for a
/// moment when a relay moves to another source, is present as long as one of them reports it.
package struct PresenceExchange: Sendable {
    private struct User {
        /// Connected to this process.
        var local: ConnectedUser?
        var reports: [PresenceLink: ConnectedUser] = [:]

        /// As reported by the neighbours, except one.
        func reported(except link: PresenceLink? = nil) -> ConnectedUser? {
            let last = reports.filter { $0.key != link }.max { $0.key.priority < $1.key.priority }
            return last?.value
        }
    }

    private struct Queue {
        var order = CircularBuffer<String>()
        var pending: Set<String> = []
        /// The users that the neighbour knows.
        var sent: Set<String> = []

        mutating func append(_ id: String) {
            if pending.insert(id).inserted { order.append(id) }
        }

        mutating func next() -> String? {
            guard let id = order.popFirst() else { return nil }
            pending.remove(id)
            return id
        }
    }

    /// Bytes of a report; the rest follows in later ones.
    static let maxReportBytes = 256 << 10

    private let maxUsers: Int
    private let maxTextBytes: Int
    private var users: [String: User] = [:]
    private var queues: [PresenceLink: Queue] = [:]
    /// The bytes of the texts of all reported cursors.
    private var textBytes = 0

    /// - Parameters:
    ///   - maxUsers: the limit of users; reports of further ones are ignored.
    ///   - maxTextBytes: the limit of the texts of all reported cursors. A text that does not fit is left out.
    package init(maxUsers: Int = 10_000, maxTextBytes: Int = 1 << 20) {
        self.maxUsers = maxUsers
        self.maxTextBytes = maxTextBytes
    }

    package var hasChanges: Bool { queues.values.contains { !$0.order.isEmpty } }

    package var links: [PresenceLink] { Array(queues.keys) }

    /// Begins with all users that the neighbour has not reported itself. A second call does nothing.
    package mutating func open(_ link: PresenceLink) {
        guard queues[link] == nil else { return }
        var queue = Queue()
        for id in users.keys { queue.append(id) }
        queues[link] = queue
    }

    /// Ends the exchange; returns the users whose state has changed.
    package mutating func close(_ link: PresenceLink) -> [String] {
        queues[link] = nil
        let reported = users.filter { $0.value.reports[link] != nil }.keys
        for id in reported { set(nil, of: id, from: link) }
        return Array(reported)
    }

    /// A user of this process has changed; nil for one that has left.
    package mutating func changed(_ id: String, to user: ConnectedUser?) {
        guard users[id] != nil || user != nil else { return }
        users[id, default: User()].local = user
        ended(id)
        markChanged(id, except: nil)
    }

    /// Returns the users whose state has changed.
    package mutating func received(_ report: PresenceReport, from link: PresenceLink) -> [String] {
        var changed: [String] = []
        for user in report.users {
            guard users[user.userID] != nil || users.count < maxUsers else { continue }
            set(user, of: user.userID, from: link)
            changed.append(user.userID)
        }
        for id in report.left where users[id]?.reports[link] != nil {
            set(nil, of: id, from: link)
            changed.append(id)
        }
        return changed
    }

    /// The user as other processes report it; nil for one that none reports, or that is connected to this process.
    package func remoteUser(_ id: String) -> ConnectedUser? {
        guard let user = users[id], user.local == nil else { return nil }
        return user.reported()
    }

    /// The next report to a neighbour; nil when nothing has changed.
    package mutating func take(for link: PresenceLink) -> PresenceReport? {
        guard var queue = queues[link] else { return nil }
        var report = PresenceReport()
        var byteCount = 0
        while byteCount < Self.maxReportBytes, let id = queue.next() {
            if let user = users[id]?.local ?? users[id]?.reported(except: link) {
                report.users.append(user)
                queue.sent.insert(id)
                byteCount += 256 + user.username.utf8.count + (user.cursor?.textByteCount ?? 0)
            } else if queue.sent.remove(id) != nil {
                report.left.append(id)
                byteCount += 32
            }
        }
        queues[link] = queue
        return report.isEmpty ? nil : report
    }

    private mutating func set(_ user: ConnectedUser?, of id: String, from link: PresenceLink) {
        var user = user
        textBytes -= users[id]?.reports[link]?.cursor?.textByteCount ?? 0
        if let cursor = user?.cursor, textBytes + cursor.textByteCount > maxTextBytes {
            user?.cursor = cursor.withoutText
        }
        textBytes += user?.cursor?.textByteCount ?? 0
        users[id, default: User()].reports[link] = user
        ended(id)
        markChanged(id, except: link)
    }

    private mutating func ended(_ id: String) {
        if let user = users[id], user.local == nil, user.reports.isEmpty { users[id] = nil }
    }

    private mutating func markChanged(_ id: String, except link: PresenceLink?) {
        for other in queues.keys where other != link { queues[other]?.append(id) }
    }
}

extension PresenceLink {
    /// The newest relay knows best, and any relay better than the source, which knows it from a relay.
    fileprivate var priority: UInt64 {
        switch self {
        case .source: 0
        case .relay(let client): client.number + 1
        }
    }
}
