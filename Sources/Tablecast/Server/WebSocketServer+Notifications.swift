package import Broadcast
public import WireProtocol

/// What an application tells its clients. Each call returns at once; the message goes out in the order of the calls.
extension WebSocketServer {
    // MARK: Queries

    /// Tells the subscribers of `queries` of a query that the application runs itself: this first, then any number of
    /// ``notifyQueryProgress(_:)``, then one of the three ends. A service does so for the queries that run through it.
    public func notifyQueryStarted(_ payload: QueryStartedPayload) { sendQuery(.queryStarted(payload)) }
    /// How far the query is.
    public func notifyQueryProgress(_ payload: QueryProgressPayload) { sendQuery(.queryProgress(payload)) }
    /// The query ended well.
    public func notifyQueryComplete(_ payload: QueryCompletePayload) { sendQuery(.queryComplete(payload)) }
    /// The query failed.
    public func notifyQueryError(_ payload: QueryErrorPayload) { sendQuery(.queryError(payload)) }
    /// The query was stopped before its end.
    public func notifyQueryCancelled(_ payload: QueryCancelledPayload) { sendQuery(.queryCancelled(payload)) }

    // MARK: Tables

    /// Tells the subscribers of `tables`. For a server without a database: the service itself publishes what a database
    /// committed, with positions, and an application's own word would be no part of that.
    public func notifyTableCreated(_ payload: TableCreatedPayload) {
        sendTable(.tableCreated(payload), payload.tableName)
    }
    /// As ``notifyTableCreated(_:)``, for a table whose schema or rows changed.
    public func notifyTableModified(_ payload: TableModifiedPayload) {
        sendTable(.tableModified(payload), payload.tableName)
    }
    /// As ``notifyTableCreated(_:)``, for a table that is gone.
    public func notifyTableDropped(_ payload: TableDroppedPayload) {
        sendTable(.tableDropped(payload), payload.tableName)
    }

    // MARK: Anything

    /// Sends a message to every client, whatever it subscribed to.
    ///
    /// - Parameters:
    ///   - payload: one of the protocol's, or `ServerPayload.custom(_:_:)` with a type of the application's own.
    ///   - channel: what the envelope names as its channel.
    ///   - excludedClientID: a client that does not get it, such as the one that caused it.
    public func broadcast(
        _ payload: ServerPayload,
        channel: MessageChannel = .notifications,
        excluding excludedClientID: String? = nil
    ) {
        hub.sendToEveryone(message(payload, channel), except: excludedClientID.flatMap { clients[$0]?.id })
    }

    /// Sends a message to the subscribers of a channel.
    public func broadcast(
        _ payload: ServerPayload,
        to channel: MessageChannel,
        excluding excludedClientID: String? = nil
    ) {
        hub.send(message(payload, channel), to: channel, except: excludedClientID.flatMap { clients[$0]?.id })
    }

    /// Sends a message to one client; false when there is none of that name.
    @discardableResult
    public func send(_ payload: ServerPayload, channel: MessageChannel = .notifications, toClient clientID: String)
        -> Bool
    {
        guard let client = clients[clientID] else { return false }
        hub.send(message(payload, channel), to: client.id)
        return true
    }

    /// The application's own queries are no restricted client's.
    private func sendQuery(_ payload: ServerPayload) {
        hub.send(message(payload, .queries), to: .queries) { _ in nil }
    }

    private func sendTable(_ payload: ServerPayload, _ table: String) {
        let message = message(payload, .tables)
        hub.send(message, to: .tables) { $0.includes(table: table) ? message : nil }
    }

    private func message(_ payload: ServerPayload, _ channel: MessageChannel) -> EncodedMessage {
        EncodedMessage(EnvelopeHeader(payload.type, channel: channel), payload)
    }

    // MARK: Subscriptions

    /// Subscribes a client, as if it had asked for it; it gets `subscribed`. To `tables` it adds a subscription; one with an
    /// equal filter begins again.
    ///
    /// - Returns: false when there is no client of that name.
    /// - Throws: when the client's ``Identity`` does not allow it, or the client or the service has as many subscriptions as it
    ///   may.
    @discardableResult
    public func subscribe(
        _ clientID: String,
        to channel: MessageChannel,
        filter: TableFilter = .everything
    ) throws(ProtocolError) -> Bool {
        guard let client = clients[clientID] else { return false }
        let request = try client.identity.narrowed(SubscribeRequest(channel: channel, filter: filter))
        try subscribe(client.id, of: client.identity, to: request)
        return true
    }

    /// Subscribes a client of any kind, whose rights are checked. A new subscriber of `collaboration` first receives the list
    /// of users.
    package func subscribe(
        _ client: ClientID,
        of identity: Identity,
        to request: SubscribeRequest,
        replyTo: String? = nil
    ) throws(ProtocolError) {
        switch request.channel {
        case .tables:
            try hub.subscribe(
                client,
                to: request.filters.map { TableSubscription($0) },
                since: request.since,
                replacing: request.replaces,
                isList: request.subscriptions != nil,
                replyTo: replyTo
            )
        case .collaboration:
            let header = EnvelopeHeader(.userList, channel: .collaboration)
            let users = EncodedMessage(header, clients.userList(for: identity))
            hub.subscribe(client, to: .collaboration, replyTo: replyTo, then: [users])
        case .queries, .notifications:
            hub.subscribe(client, to: request.channel, replyTo: replyTo)
        }
    }

    /// Ends a client's subscription to a channel, for `tables` all of them; it gets `unsubscribed`. False when there is no
    /// client of that name.
    @discardableResult
    public func unsubscribe(_ clientID: String, from channel: MessageChannel) -> Bool {
        guard let client = clients[clientID] else { return false }
        hub.unsubscribeAll(client.id, from: channel)
        return true
    }

    /// Closes a client's connection after everything that was sent to it before.
    @discardableResult
    public func disconnect(_ clientID: String, _ code: CloseCode = .normal, reason: String = "") -> Bool {
        guard let client = clients[clientID] else { return false }
        hub.close(client.id, code, reason: reason)
        return true
    }
}
