package import NIOCore
package import WireProtocol

/// The present users and their cursors. A value without locks, clocks or connections: each call returns the actions to
/// take. Keep it under one lock, and send the returned actions before releasing the lock, so that all clients receive
/// them in one order.
package struct Presence: Sendable {
    package enum Action: Sendable, Equatable {
        /// Send to every subscriber of `collaboration` except one.
        case announce(ServerPayload, except: ClientID?)
        /// Call ``Presence/sendCursors(now:)`` at that time.
        case sendCursorsLater(at: NIODeadline)
    }

    package enum Member: Hashable, Sendable {
        /// A connection: a user with two of them is listed twice.
        case client(ClientID)
        /// A user of another process, by id.
        case remote(String)

        var clientID: ClientID? { if case .client(let client) = self { client } else { nil } }
    }

    private struct User {
        var userID: String
        var username: String
        let joinedAt: Int64
        let order: UInt64
        var cursor: CursorLocation?
        /// ``cursor`` has not been sent.
        var isCursorDue = false
        var cursorSent: NIODeadline?

        var connected: ConnectedUser {
            ConnectedUser(userID: userID, username: username, joinedAt: joinedAt, cursor: cursor)
        }
    }

    private let cursorInterval: TimeAmount
    private let maxUsers: Int
    private let maxTextBytes: Int
    private var users: [Member: User] = [:]
    private var joined: UInt64 = 0
    /// The bytes of all cursors' texts.
    private var textBytes = 0
    private var isScheduled = false

    /// - Parameters:
    ///   - cursorsPerSecond: The maximum number of cursor messages per user and second.
    ///   - maxUsers: Further clients take part without being listed.
    ///   - maxTextBytes: The limit of all cursors' texts together, so that the user list stays sendable. A text that
    ///     does not fit is left out; the cursor is sent without it.
    package init(cursorsPerSecond: Int = 20, maxUsers: Int = 10_000, maxTextBytes: Int = 1 << 20) {
        precondition(cursorsPerSecond > 0, "expected a positive number of cursors per second")
        cursorInterval = .nanoseconds(1_000_000_000 / Int64(cursorsPerSecond))
        self.maxUsers = maxUsers
        self.maxTextBytes = maxTextBytes
    }

    package var count: Int { users.count }

    /// Adds a member. Joining again is ``identify(_:username:)``.
    ///
    /// - Parameters:
    ///   - client: The connection, or the user of another process.
    ///   - userID: The user's id, as other clients see it.
    ///   - username: The user's name, as other clients see it.
    ///   - timestamp: Unix milliseconds.
    package mutating func join(_ client: Member, userID: String, username: String, timestamp: Int64) -> [Action] {
        if users[client] != nil { return identify(client, username: username) }
        guard users.count < maxUsers else { return [] }
        joined += 1
        users[client] = User(userID: userID, username: username, joinedAt: timestamp, order: joined)
        return [.announce(.userJoined(presence(userID, username)), except: nil)]
    }

    /// Sets a client's name. When it had another name before, other clients see it leave and join.
    package mutating func identify(_ client: Member, username: String) -> [Action] {
        guard var user = users[client], user.username != username else { return [] }
        let oldName = user.username
        user.username = username
        users[client] = user
        let left = UserPresencePayload(userID: user.userID, username: oldName, connectedUsers: users.count - 1)
        return [
            .announce(.userLeft(left), except: nil),
            .announce(.userJoined(presence(user.userID, username)), except: nil),
        ]
    }

    /// Removes a client.
    package mutating func leave(_ client: Member) -> [Action] {
        guard let user = users.removeValue(forKey: client) else { return [] }
        textBytes -= user.cursor?.textByteCount ?? 0
        return [.announce(.userLeft(presence(user.userID, user.username)), except: nil)]
    }

    /// The present users, in the order of arrival.
    package var list: UserListPayload {
        UserListPayload(users: users.values.sorted { $0.order < $1.order }.map(\.connected))
    }

    package subscript(client: Member) -> ConnectedUser? { users[client]?.connected }

    /// Follows the state of a user of another process; nil when it is not present there.
    package mutating func update(_ id: String, to user: ConnectedUser?, now: NIODeadline) -> [Action] {
        let member = Member.remote(id)
        guard let user else { return leave(member) }
        var actions =
            users[member] == nil
            ? join(member, userID: id, username: user.username, timestamp: user.joinedAt)
            : identify(member, username: user.username)
        if let cursor = user.cursor, cursor != users[member]?.cursor {
            actions += moveCursor(member, to: cursor, now: now)
        }
        return actions
    }

    /// Updates a client's cursor. It is sent at once, or later when one was just sent; then only the newest is sent.
    package mutating func moveCursor(_ client: Member, to location: CursorLocation, now: NIODeadline) -> [Action] {
        guard var user = users[client] else { return [] }
        textBytes -= user.cursor?.textByteCount ?? 0
        user.cursor = textBytes + location.textByteCount <= maxTextBytes ? location : location.withoutText
        textBytes += user.cursor?.textByteCount ?? 0
        user.isCursorDue = true
        users[client] = user
        guard let sent = user.cursorSent, now < sent + cursorInterval else {
            return sendCursor(client, now: now).map { [$0] } ?? []
        }
        guard !isScheduled else { return [] }
        isScheduled = true
        return [.sendCursorsLater(at: sent + cursorInterval)]
    }

    /// Handles ``Action/sendCursorsLater(at:)`` at its time.
    package mutating func sendCursors(now: NIODeadline) -> [Action] {
        isScheduled = false
        var actions: [Action] = []
        var next: NIODeadline?
        let due = users.filter { $0.value.isCursorDue }.sorted { $0.value.order < $1.value.order }
        for (client, user) in due {
            if let sent = user.cursorSent, now < sent + cursorInterval {
                next = min(next ?? .distantFuture, sent + cursorInterval)
            } else if let action = sendCursor(client, now: now) {
                actions.append(action)
            }
        }
        if let next {
            isScheduled = true
            actions.append(.sendCursorsLater(at: next))
        }
        return actions
    }

    private mutating func sendCursor(_ client: Member, now: NIODeadline) -> Action? {
        guard let user = users[client], let cursor = user.cursor else { return nil }
        users[client]?.isCursorDue = false
        users[client]?.cursorSent = now
        let payload = UserCursorPayload(userID: user.userID, username: user.username, location: cursor)
        return .announce(.userCursor(payload), except: client.clientID)
    }

    private func presence(_ userID: String, _ username: String) -> UserPresencePayload {
        UserPresencePayload(userID: userID, username: username, connectedUsers: users.count)
    }
}

/// Limits the rate of an action: a token bucket that fills steadily. A value without a clock.
package struct RateLimit: Sendable {
    private let capacity: Double
    private let tokensPerNanosecond: Double
    private var tokens: Double
    private var updated: NIODeadline

    /// - Parameters:
    ///   - perSecond: The average rate; greater than zero.
    ///   - burst: The number allowed at once after a pause; at least one.
    ///   - now: The bucket is full then.
    package init(perSecond: Double, burst: Int, now: NIODeadline) {
        precondition(perSecond > 0 && burst >= 1, "expected a positive rate and a burst of at least 1")
        capacity = Double(burst)
        tokensPerNanosecond = perSecond / 1e9
        tokens = capacity
        updated = now
    }

    /// Takes a token; false when there is none.
    package mutating func take(now: NIODeadline) -> Bool {
        if now > updated {
            tokens = min(capacity, tokens + Double((now - updated).nanoseconds) * tokensPerNanosecond)
            updated = now
        }
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }
}
