/// Where in the feed of changes a listener is, so that it can go on there after its connection broke.
///
/// A transaction's messages are contiguous, and a connection can end between two of them. The server replays whole
/// transactions, so the messages already seen of the broken one are skipped when they come again.
struct FeedPosition: Sendable, Hashable {
    /// Of the last transaction seen to its end: what to ask for with `since`. Nil before any is known.
    private(set) var complete: String?
    /// The transaction whose last message is still to come, and how many of its messages were seen.
    private var partial: Partial?
    /// How many messages of the partial transaction came over the present connection.
    private var arrived = 0

    private struct Partial: Sendable, Hashable {
        var position: String
        var seen: Int
    }

    init(since: String? = nil) { complete = since }

    /// The subscription is live.
    ///
    /// - Parameter recovered: As the server says; nil where nothing was asked for.
    mutating func subscribed(at position: String?, recovered: Bool?) {
        arrived = 0
        if recovered != true {
            // Nothing of the past will come: the feed begins here.
            complete = position
            partial = nil
        }
    }

    /// A message of the feed arrived; returns whether it is news.
    ///
    /// - Parameter isLast: Whether it ends its transaction.
    mutating func received(_ position: String, isLast: Bool) -> Bool {
        arrived += 1
        var isNews = true
        if let partial, partial.position == position {
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
}
