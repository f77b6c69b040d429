import WireProtocol

/// A client subscribes to `tables`, at its place in the hub's order.
struct SubscriptionChange: Sendable {
    /// One, or several that resume together.
    var subscriptions: [TableSubscription]
    var start: Start
    /// The subscription that ends with this, by its id.
    var replaced: String?
    /// The newest transaction at this place in the order.
    var head: Position
    /// How the request is answered; nil for a snapshot, which is acknowledged when its position is known.
    var reply: SubscriptionReply?

    /// Where the subscriptions begin.
    enum Start: Sendable, Equatable {
        /// With what comes next; `recovered` is false when the client asked for more than there is.
        case live(recovered: Bool?)
        /// With a replay of what came after the position.
        case replay(History.Pin, after: Position)
        /// When a snapshot has been sent.
        case held(History.Pin)

        var pin: History.Pin? {
            switch self {
            case .live: nil
            case .replay(let pin, _), .held(let pin): pin
            }
        }

        var hold: History.Pin? { if case .held(let pin) = self { pin } else { nil } }

        /// What the acknowledgement says of `since`.
        var recovered: Bool? {
            switch self {
            case .live(let recovered): recovered
            case .replay: true
            case .held: nil
            }
        }
    }
}

/// How a `subscribe` is answered.
struct SubscriptionReply: Sendable {
    var replyTo: String?
    /// The ids of a list, in the order of the request; nil where it had none.
    var list: [String]?
}
