package import WireProtocol

/// The messages about subscriptions that the hub makes by itself.
extension EncodedMessage {
    /// The acknowledgement of a subscription. Its position is that after which everything follows: a client that remembers
    /// it loses nothing, whether it sees the replay to its end or not.
    package static func subscribed(_ payload: SubscribedPayload, replyTo: String?) -> EncodedMessage {
        let header = EnvelopeHeader(
            .subscribed,
            channel: payload.channel,
            position: payload.position,
            replyTo: replyTo
        )
        return EncodedMessage(header, payload, resumePosition: payload.position)
    }

    static func unsubscribed(
        _ channel: WireProtocol.Channel,
        subscription: String? = nil,
        replyTo: String?
    ) -> EncodedMessage {
        let header = EnvelopeHeader(.unsubscribed, channel: channel, replyTo: replyTo)
        return EncodedMessage(header, UnsubscribedPayload(channel: channel, subscription: subscription))
    }

    /// The end of a transaction for a connection with several subscriptions: the same for all.
    static func transactionEnd(of publication: any Publication) -> EncodedMessage {
        let position = publication.position
        return transactionEnd(position, id: "\(position)/end", timestamp: publication.timestamp)
    }

    /// All subscriptions of one connection are up with each other.
    static func transactionEnd(
        _ position: Position,
        id: String = MessageID.next(),
        timestamp: Int64 = UnixTime.milliseconds
    ) -> EncodedMessage {
        let header = EnvelopeHeader(
            id: id,
            timestamp: timestamp,
            type: .transactionEnd,
            channel: .tables,
            position: position
        )
        return EncodedMessage(header, TransactionEndPayload(position: position), resumePosition: position)
    }
}
