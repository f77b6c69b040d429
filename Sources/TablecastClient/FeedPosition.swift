package import WireProtocol

/// The position of a feed, at which it continues after its connection was lost.
///
/// A transaction's messages are contiguous, and a connection can end between two of them. The server replays whole
/// transactions, so the already received messages of the interrupted one are skipped.
package struct FeedPosition: Sendable, Hashable {
    /// The position of the last completely received transaction: the value of `since`. Nil before any is known.
    package private(set) var complete: Position?
    /// The incompletely received transaction, and how many of its messages were received.
    private var partial: Partial?
    /// How many messages of the partial transaction arrived over the current connection.
    private var arrived = 0

    private struct Partial: Sendable, Hashable {
        var position: Position
        var seen: Int
    }

    package init(since: Position? = nil) { complete = since }

    /// The subscription is live.
    ///
    /// - Parameter recovered: The server's value; nil when no position was requested.
    package mutating func subscribed(at position: Position?, recovered: Bool?) {
        arrived = 0
        if recovered != true {
            // No earlier transaction will arrive: the feed begins here.
            complete = position
            partial = nil
        }
    }

    /// Handles a message of the feed; returns whether it is new.
    ///
    /// - Parameter isLast: Whether it ends its transaction.
    package mutating func received(_ position: Position, isLast: Bool) -> Bool {
        arrived += 1
        var isNews = true
        if let partial, Self.areSame(partial.position, position) {
            isNews = arrived > partial.seen
            if isNews { self.partial?.seen = arrived }
        } else {
            partial = Partial(position: position, seen: 1)
            arrived = 1
        }
        if isLast {
            complete = position
            partial = nil
            arrived = 0
        }
        return isNews
    }

    /// Whether both positions name the same transaction: after a restart of the server the second part of the epoch differs.
    private static func areSame(_ one: Position, _ other: Position) -> Bool {
        one.sequence == other.sequence && one.epoch.prefix { $0 != "-" } == other.epoch.prefix { $0 != "-" }
    }
}
