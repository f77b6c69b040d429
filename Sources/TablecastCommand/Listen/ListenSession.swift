import WireProtocol

/// What `listen` makes of the messages of its connections, one after another: decides, and leaves the doing to its caller.
struct ListenSession: Sendable {
    enum Action: Sendable, Hashable {
        case send([UInt8])
        /// The message that was received is one to print.
        case print
        /// Something about the connection, for stderr.
        case tell(Notice)
        case stop(CommandFailure)
    }

    /// What a person should know about the feed itself.
    enum Notice: Sendable, Hashable {
        case connected(database: String?, position: Position?)
        /// Back after the connection was lost, with everything that happened meanwhile.
        case resumed
        /// Back, and what happened meanwhile is unknown.
        case missed
    }

    private let channels: [Channel]
    private let subscription: [String: JSONValue]
    /// Whether answers to requests are printed too, for a program that reads the output.
    private let isVerbatim: Bool
    private var feed: FeedPosition
    private var connections = 0

    init(channels: [Channel], subscription: [String: JSONValue], since: String?, isVerbatim: Bool = false) {
        self.channels = channels
        self.subscription = subscription
        self.isVerbatim = isVerbatim
        feed = FeedPosition(since: since)
    }

    mutating func received(_ message: Envelope) -> [Action] {
        let answer: [Action] = isVerbatim ? [.print] : []
        switch message.payload {
        case .connectionAck(let acknowledgement):
            connections += 1
            let notice = Notice.connected(database: acknowledgement.database, position: acknowledgement.position)
            return answer + (connections == 1 ? [.tell(notice)] : []) + channels.map { .send(subscribe(to: $0)) }
        case .subscribed(let subscribed) where subscribed.channel == .tables:
            let isBack = connections > 1
            feed.subscribed(at: subscribed.position?.description, recovered: subscribed.recovered)
            switch subscribed.recovered {
            case true?: return answer + (isBack ? [.tell(.resumed)] : [])
            case false?: return answer + [.tell(.missed)]
            case nil: return answer + (isBack ? [.tell(.missed)] : [])
            }
        case .subscribed, .unsubscribed:
            return answer
        case .heartbeat:
            return []
        case .error(let error) where message.header.replyTo.flatMap(Channel.init(rawValue:)) != nil:
            return [.stop(CommandFailure(.failure, "the server refused: \(error.message) (\(error.code))"))]
        default:
            return isNews(message) ? [.print] : []
        }
    }

    private mutating func isNews(_ message: Envelope) -> Bool {
        // Every client hears notifications; not everyone wants them printed.
        guard channels.contains(message.header.channel) || message.header.type == .error else { return false }
        guard message.header.channel == .tables, let position = message.header.position else { return true }
        return feed.received(position.description, isLast: message.payload.isLastOfTransaction)
    }

    private func subscribe(to channel: Channel) -> [UInt8] {
        guard channel == .tables else { return ClientRequest.subscribe(to: channel) }
        var data = subscription
        data["since"] = feed.complete.map { .string($0) }
        return ClientRequest.subscribe(to: channel, data: data)
    }
}

extension ServerPayload {
    fileprivate var isLastOfTransaction: Bool {
        switch self {
        case .tableCreated(let event): event.context.transaction?.isLast ?? true
        case .tableModified(let event): event.context.transaction?.isLast ?? true
        case .tableDropped(let event): event.context.transaction?.isLast ?? true
        default: true
        }
    }
}
