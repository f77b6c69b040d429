package import WireProtocol

/// The state of a feed over its successive connections: decides on actions, and the caller performs them.
package struct FeedSession: Sendable {
    package enum Action: Sendable, Hashable {
        case send(ClientMessage)
        case deliver(FeedEvent)
        /// The server cannot serve the subscription now.
        case reconnect(TablecastClientError)
        case stop(TablecastClientError)
    }

    private let channels: [MessageChannel]
    private let filter: TableFilter
    private var feed: FeedPosition
    /// The id of the subscription to tables.
    private var subscription: String?
    private var connections = 0
    /// The server has accepted the subscription to tables before.
    private var hasBegun = false

    /// - Parameters:
    ///   - since: the position after which the channel `tables` begins.
    ///   - subscription: the id of the subscription that received everything up to it.
    package init(
        channels: [MessageChannel],
        filter: TableFilter = .everything,
        since: Position? = nil,
        subscription: String? = nil
    ) {
        self.channels = channels
        self.filter = filter
        self.subscription = subscription
        feed = FeedPosition(since: since)
    }

    package mutating func received(_ message: ReceivedMessage) -> [Action] {
        let envelope = message.envelope
        switch envelope.payload {
        case .connectionAck(let acknowledgement):
            connections += 1
            let event: [Action] = connections == 1 ? [.deliver(.connected(acknowledgement))] : []
            return [reply(message)] + event + channels.map { .send(subscribe(to: $0)) }
        case .subscribed(let subscribed) where subscribed.channel == .tables:
            let isBack = hasBegun
            hasBegun = true
            subscription = subscribed.subscription
            feed.subscribed(at: subscribed.position, recovered: subscribed.recovered)
            let reply = reply(message, position: feed.complete)
            switch subscribed.recovered {
            case true?: return [reply] + (isBack ? [.deliver(.resumed)] : [])
            case false?: return [reply, missed(subscribed)]
            case nil: return [reply] + (isBack ? [missed(subscribed)] : [])
            }
        case .subscribed, .unsubscribed:
            return [reply(message)]
        case .heartbeat:
            return []
        case .error(let error) where envelope.header.replyTo.flatMap(MessageChannel.init(rawValue:)) != nil:
            let failure = TablecastClientError(error)
            return [error.code.mayPass(hadBegun: hasBegun) ? .reconnect(failure) : .stop(failure)]
        default:
            return news(message).map { [.deliver(.message($0))] } ?? []
        }
    }

    private func reply(_ message: ReceivedMessage, position: Position? = nil) -> Action {
        .deliver(.message(FeedMessage(message, isReply: true, position: position)))
    }

    private func missed(_ subscribed: SubscribedPayload) -> Action { .deliver(.missed(position: subscribed.position)) }

    private mutating func news(_ message: ReceivedMessage) -> FeedMessage? {
        let header = message.envelope.header
        // Every client receives notifications; they are passed on only when requested.
        guard channels.contains(header.channel) || header.type == .error else { return nil }
        guard header.channel == .tables, let position = header.position else {
            return FeedMessage(message, isReply: false, position: nil)
        }
        let isLast = message.envelope.payload.isLastOfTransaction
        guard feed.received(position, isLast: isLast) else { return nil }
        return FeedMessage(message, isReply: false, position: isLast ? position : nil)
    }

    private func subscribe(to channel: MessageChannel) -> ClientMessage {
        let request =
            channel == .tables
            ? SubscribeRequest(
                channel: channel,
                filter: filter,
                since: feed.complete,
                resumes: feed.complete == nil ? nil : subscription.map { [$0] }
            )
            : SubscribeRequest(channel: channel)
        return ClientMessage(id: channel.rawValue, .subscribe(request))
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
