import NIOCore
import WireProtocol

/// Clients that an item concerns individually.
extension Shard {
    /// Applies the pending items to one client, and writes its messages in one buffer.
    ///
    /// - Parameter common: the indices of the items that are not for one client alone.
    func writeIndividually(_ items: [QueueItem], _ common: [Int], to client: Client) {
        var frames = FrameSequence(frameEncoding: client.connection.frameEncoding)
        var common = common[...]
        var named = client.named[...]
        while let index = Self.popSmaller(&common, &named) {
            let item = items[index]
            let isNamed = item.client == client.id
            if client.isGone {
                if isNamed { settleUnclaimed(item) }
            } else {
                apply(item, isNamed: isNamed, to: client, &frames)
                for message in messagesAfterReplay(of: client) { frames.append(own: message) }
            }
        }
        write(frames.batch, to: client)
    }

    /// Removes and returns the smaller of the first elements.
    private static func popSmaller(_ left: inout ArraySlice<Int>, _ right: inout ArraySlice<Int>) -> Int? {
        guard let first = right.first, left.first.map({ first < $0 }) ?? true else { return left.popFirst() }
        return right.popFirst()
    }

    private func apply(_ item: QueueItem, isNamed: Bool, to client: Client, _ frames: inout FrameSequence) {
        switch item {
        case .publication:
            client.subscriptions.forEachMessage(of: item) { frames.append($0) }
        case .message(let message, let audience):
            guard client.isOpen, client.id != item.client else { return }
            if let message = client.subscriptions.message(message, to: audience) { frames.append(message) }
        case .direct(let direct, _):
            if isNamed { send(direct, to: client, &frames) }
        case .change(let change, _):
            if isNamed { apply(change, to: client, &frames) }
        case .reset(let notice):
            for entry in client.tables.entries { frames.append(notice.message(for: entry.subscription)) }
            // The messages being sent belong to an epoch that has ended.
            client.tables.reset()
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
        case .subscribeToTables(let change):
            let (position, released) = client.tables.subscribe(change)
            unpin(released)
            if let reply = change.reply {
                frames.append(.subscribed(SubscribedPayload(change, position), replyTo: reply.replyTo))
            }
        case .unsubscribe(let channel, let replyTo):
            if channel == .tables {
                unpin(client.tables.unsubscribeAll())
            } else {
                client.channels.remove(Channels(channel))
            }
            frames.append(.unsubscribed(channel, replyTo: replyTo))
        case .unsubscribeFromTables(let id, let replyTo):
            unpin(client.tables.unsubscribe(id))
            frames.append(.unsubscribed(.tables, subscription: id, replyTo: replyTo))
        case .join(let topic):
            client.topics.insert(topic)
        case .leave(let topic):
            client.topics.remove(topic)
        case .goOn(let pin):
            client.tables.goOn(pin)
        case .goLive(let pin):
            client.tables.goLive(pin)
        case .release(let pin, let end, let position, let head):
            guard client.tables.isHeld(pin) else { return }
            frames.append(end)
            unpin(client.tables.release(pin, after: position, head: head))
        case .abandon(let pin, let replyTo):
            guard let (subscription, released) = client.tables.abandon(pin) else { return }
            unpin(released)
            frames.append(.unsubscribed(.tables, subscription: subscription.id, replyTo: replyTo))
        case .close(let code, let reason):
            close(client, code, reason, after: &frames)
        }
    }

    private func send(_ direct: DirectMessage, to client: Client, _ frames: inout FrameSequence) {
        if let hold = direct.hold {
            guard client.tables.isHeld(hold) else {
                direct.whenTaken?(false)
                return
            }
            if let ended = direct.ended { unpin(client.tables.unsubscribe(ended)) }
        }
        if direct.isAfterReplay {
            client.afterReplay.append(direct.message)
            return
        }
        frames.append(own: direct.message)
        if let whenTaken = direct.whenTaken { client.waiting.append(whenTaken) }
    }

    /// Takes the messages that waited for the end of the client's replay, if it has ended.
    func messagesAfterReplay(of client: Client) -> [EncodedMessage] {
        guard !client.afterReplay.isEmpty, !client.tables.isReplaying else { return [] }
        defer { client.afterReplay = [] }
        return client.afterReplay
    }

    private func unpin(_ pins: [History.Retention]) {
        if !pins.isEmpty { sequencer.withLock { $0.unpin(pins) } }
    }

    private func close(_ client: Client, _ code: CloseCode, _ reason: String, after frames: inout FrameSequence) {
        write(frames.batch, to: client)
        frames = FrameSequence(frameEncoding: client.connection.frameEncoding)
        guard !client.isGone else { return }
        remove(client)
        client.connection.close(code, reason: reason)
    }
}

extension SubscribedPayload {
    fileprivate init(_ change: SubscriptionChange, _ position: Position?) {
        let list = change.reply?.list
        self.init(
            channel: .tables,
            subscription: list == nil ? change.subscriptions.first?.id : nil,
            subscriptions: list,
            position: position,
            recovered: change.start.recovered,
            reason: change.start.resumeFailure
        )
    }
}
