import NIOCore
package import WireProtocol

/// Clients to which something happens that happens to nobody else.
extension Shard {
    /// Walks one client through everything that is pending, and writes what it gets in one buffer.
    func writeIndividually(_ items: [QueueItem], to client: Client) {
        var frames = FrameSequence(representation: client.outlet.representation)
        for item in items {
            let isNamed = item.client == client.id
            if client.isGone {
                if isNamed { settleUnclaimed(item) }
            } else {
                apply(item, isNamed: isNamed, to: client, &frames)
            }
        }
        if let bytes = frames.joined { write(bytes, to: client) }
    }

    private func apply(_ item: QueueItem, isNamed: Bool, to client: Client, _ frames: inout FrameSequence) {
        switch item {
        case .publication:
            client.subscriptions.forEachMessage(of: item) { frames.append($0) }
        case .message(let message, let audience):
            guard client.isOpen, client.id != item.client else { return }
            if let message = client.subscriptions.message(message, to: audience) { frames.append(message) }
        case .direct(let message, _, let pin, let whenTaken):
            guard isNamed else { return }
            guard client.isWaiting(for: pin) else {
                whenTaken?(false)
                return
            }
            frames.append(message)
            if let whenTaken { client.waiting.append(whenTaken) }
        case .change(let change, _):
            if isNamed { apply(change, to: client, &frames) }
        case .reset(let notice):
            guard let filter = client.tables.filter else { return }
            frames.append(notice)
            // What was being sent belongs to an epoch that is over.
            client.tables = .live(filter)
        case .closeEveryone(let code, let reason):
            close(client, code, reason, after: &frames)
        }
    }

    private func apply(_ change: ClientChange, to client: Client, _ frames: inout FrameSequence) {
        switch change {
        case .open(let channels, let greeting):
            client.isOpen = true
            client.channels = channels.subtracting(.tables)
            for message in greeting { frames.append(message) }
        case .subscribe(let channel, let replyTo, let then):
            client.channels.insert(Channels(channel))
            frames.append(.subscribed(SubscribedPayload(channel: channel), replyTo: replyTo))
            for message in then { frames.append(message) }
        case .subscribeToTables(let filter, let start, let replyTo, let then):
            if let payload = subscribeToTables(client, filter, start) {
                frames.append(.subscribed(payload, replyTo: replyTo))
            }
            for message in then { frames.append(message) }
        case .unsubscribe(let channel, let replyTo):
            if channel == .tables {
                setTables(.none, of: client)
            } else {
                client.channels.remove(Channels(channel))
            }
            frames.append(.unsubscribed(channel, replyTo: replyTo))
        case .goLive(let pin):
            guard case .replaying(let filter, pin, _, _) = client.tables else { return }
            client.tables = .live(filter)
        case .release(let pin, let position):
            guard case .held(let filter, pin) = client.tables else { return }
            client.tables = .replaying(filter, pin, after: position, isComplete: false)
        case .abandon(let pin, let replyTo):
            guard case .held(_, pin) = client.tables else { return }
            setTables(.none, of: client)
            frames.append(.unsubscribed(.tables, replyTo: replyTo))
        case .close(let code, let reason):
            close(client, code, reason, after: &frames)
        }
    }

    /// Replaces what the client has of tables; nil when it is the caller of ``Hub/hold(_:_:)`` who acknowledges.
    private func subscribeToTables(
        _ client: Client,
        _ filter: TableFilter,
        _ start: TablesStart
    ) -> SubscribedPayload? {
        switch start {
        case .live(let position, let recovered):
            if recovered == nil, case .replaying(let old, let pin, let sent, let isComplete) = client.tables {
                // The replay goes on, or what it had not reached yet would be lost.
                client.tables = .replaying(filter, pin, after: sent, isComplete: isComplete)
                sequencer.withLock { $0.forget(old, nil) }
                return SubscribedPayload(channel: .tables, position: sent)
            }
            setTables(.live(filter), of: client)
            return SubscribedPayload(channel: .tables, position: position, recovered: recovered)
        case .replay(let pin, let position):
            setTables(.replaying(filter, pin, after: position, isComplete: false), of: client)
            return SubscribedPayload(channel: .tables, position: position, recovered: true)
        case .held(let pin):
            setTables(.held(filter, pin), of: client)
            return nil
        }
    }

    private func setTables(_ tables: TablesSubscription, of client: Client) {
        let old = client.tables
        client.tables = tables
        sequencer.withLock { $0.forget(old.filter, old.pin) }
    }

    private func close(_ client: Client, _ code: CloseCode, _ reason: String, after frames: inout FrameSequence) {
        if let bytes = frames.joined { write(bytes, to: client) }
        frames = FrameSequence(representation: client.outlet.representation)
        guard !client.isGone else { return }
        remove(client)
        client.outlet.close(code, reason: reason)
    }
}

extension Client {
    /// Whether its subscription waits for this snapshot, if it is about one.
    fileprivate func isWaiting(for snapshot: History.Pin?) -> Bool {
        guard let snapshot else { return true }
        if case .held(_, snapshot) = tables { return true }
        return false
    }
}

extension EncodedMessage {
    /// The acknowledgement of a subscription. Its position is that after which everything follows: a client that remembers it loses nothing,
    /// whether it sees the replay to its end or not.
    package static func subscribed(_ payload: SubscribedPayload, replyTo: String?) -> EncodedMessage {
        let header = EnvelopeHeader(
            .subscribed,
            channel: payload.channel,
            position: payload.position,
            replyTo: replyTo
        )
        return EncodedMessage(header, payload, resumePosition: payload.position)
    }

    fileprivate static func unsubscribed(_ channel: WireProtocol.Channel, replyTo: String?) -> EncodedMessage {
        let header = EnvelopeHeader(.unsubscribed, channel: channel, replyTo: replyTo)
        return EncodedMessage(header, UnsubscribedPayload(channel: channel))
    }
}
