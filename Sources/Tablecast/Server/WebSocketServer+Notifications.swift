package import Broadcast
import Synchronization
public import WireProtocol

/// Messages of the application to its clients. Each call returns at once; messages are sent in the order of the calls.
extension WebSocketServer {
    // MARK: Queries

    /// Notifies the subscribers of `queries` of a query that the application runs itself: call this first, then
    /// ``notifyQueryProgress(_:)`` any number of times, then one of the three ends. A service does this itself for the
    /// queries that it runs.
    public func notifyQueryStarted(_ payload: QueryStartedPayload) { sendQuery(.queryStarted(payload)) }
    /// Reports the progress of the query.
    public func notifyQueryProgress(_ payload: QueryProgressPayload) { sendQuery(.queryProgress(payload)) }
    /// The query completed.
    public func notifyQueryComplete(_ payload: QueryCompletePayload) { sendQuery(.queryComplete(payload)) }
    /// The query failed.
    public func notifyQueryError(_ payload: QueryErrorPayload) { sendQuery(.queryError(payload)) }
    /// The query was stopped before its end.
    public func notifyQueryCancelled(_ payload: QueryCancelledPayload) { sendQuery(.queryCancelled(payload)) }

    // MARK: Tables

    /// Notifies the subscribers of `tables`. For a server without a database: a service publishes the commits of its
    /// database itself, with positions, and messages of the application would not be part of them.
    public func notifyTableCreated(_ payload: TableCreatedPayload) {
        sendTable(.tableCreated(payload), payload.tableName)
    }
    /// Like ``notifyTableCreated(_:)``, for a table whose schema or rows changed.
    public func notifyTableModified(_ payload: TableModifiedPayload) {
        sendTable(.tableModified(payload), payload.tableName)
    }
    /// Like ``notifyTableCreated(_:)``, for a dropped table.
    public func notifyTableDropped(_ payload: TableDroppedPayload) {
        sendTable(.tableDropped(payload), payload.tableName)
    }

    // MARK: Any message

    /// Sends a message to every client, whatever it subscribed to.
    ///
    /// - Parameters:
    ///   - payload: one of the protocol's, or `ServerPayload.custom(_:_:)` with a type of the application's own.
    ///   - channel: the channel in the envelope.
    ///   - excludedClientID: a client that does not receive it, such as the one that caused it.
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

    /// Sends a message to one client; false when no client has that id.
    @discardableResult
    public func send(_ payload: ServerPayload, channel: MessageChannel = .notifications, toClient clientID: String)
        -> Bool
    {
        guard let client = clients[clientID] else { return false }
        hub.send(message(payload, channel), to: client.id)
        return true
    }

    /// Restricted clients do not receive the application's own queries.
    private func sendQuery(_ payload: ServerPayload) {
        hub.send(message(payload, .queries), to: .queries) { _ in nil }
    }

    private func sendTable(_ payload: ServerPayload, _ table: String) {
        let message = message(payload, .tables)
        hub.send(message, to: .tables) { $0.includesAllRows(ofTable: table) ? message : nil }
    }

    private func message(_ payload: ServerPayload, _ channel: MessageChannel) -> EncodedMessage {
        EncodedMessage(EnvelopeHeader(payload.type, channel: channel), payload)
    }

    // MARK: Subscriptions

    /// Subscribes a client, as if it had requested it; it receives `subscribed`. To `tables` it adds a subscription;
    /// one with an equal filter begins again.
    ///
    /// - Returns: false when no client has that id.
    /// - Throws: when the client's ``Identity`` does not allow it, or the client or the service has reached its limit
    ///   of subscriptions.
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

    /// Subscribes a client of any kind, after checking its rights. A new subscriber of `collaboration` first receives
    /// the list of users.
    package func subscribe(
        _ client: ClientID,
        of identity: Identity,
        to request: SubscribeRequest,
        replyTo: String? = nil
    ) throws(ProtocolError) {
        switch request.channel {
        case .tables:
            guard let since = request.since, !hub.hasPublished(since), let database = databaseRequests,
                database.mayLearnOfPositions
            else { return try subscribeToTables(client, of: identity, request, replyTo) }
            let number = try pendingResumptions.add(client)
            do throws(ProtocolError) {
                try database.whenSourceIsKnown { [weak self] in
                    guard let self, pendingResumptions.remove(number, of: client) else { return }
                    do throws(ProtocolError) {
                        try subscribeToTables(client, of: identity, request, replyTo)
                    } catch {
                        hub.send(.error(error, replyTo: replyTo), to: client)
                    }
                }
            } catch {
                _ = pendingResumptions.remove(number, of: client)
                throw error
            }
        case .collaboration:
            let header = EnvelopeHeader(.userList, channel: .collaboration)
            let users = EncodedMessage(header, clients.userList(for: identity))
            hub.subscribe(client, to: .collaboration, replyTo: replyTo, then: [users])
        case .queries, .notifications:
            hub.subscribe(client, to: request.channel, replyTo: replyTo)
        }
    }

    private func subscribeToTables(
        _ client: ClientID,
        of identity: Identity,
        _ request: SubscribeRequest,
        _ replyTo: String?
    ) throws(ProtocolError) {
        if let since = request.since, let notice = startNotice.withLock({ $0 }), !hub.knows(since) {
            hub.send(identity.restriction == nil ? notice.message : notice.restricted, to: client)
        }
        // Before it for the epochs, by which the relay understands the answer.
        if request.isForRelay { sendRelayState(to: client, of: identity) }
        try hub.subscribe(
            client,
            to: request.filters.map { TableSubscription($0) },
            since: request.since,
            resuming: request.resumes.map(Set.init),
            replacing: request.replaces,
            isList: request.subscriptions != nil,
            replyTo: replyTo
        )
        // After it: the tables include what was committed before.
        if request.isForRelay { sendRelayState(to: client, of: identity) }
    }

    private func sendRelayState(to client: ClientID, of identity: Identity) {
        guard let database = databaseRequests else { return }
        var state = database.relayState(epochs: hub.earlierEpochs)
        state.exchangesPresence = identity.mayExchangePresence
        hub.send(EncodedMessage(EnvelopeHeader(RelayFormat.state, channel: .notifications), state), to: client)
    }

    // MARK: Presence at a relay

    /// Shows the users of this relay to its source. Call it for each connection to the source; `send` is called on any thread.
    package func openPresenceExchange(_ send: @escaping @Sendable (PresenceReport) -> Void) {
        clients.openedSource(send)
    }

    /// The connection to the source has ended: its users leave.
    package func closePresenceExchange() { clients.closedSource() }

    package func receivedPresence(_ report: PresenceReport) { clients.received(report, from: .source) }

    /// Ends a client's subscription to a channel, for `tables` all of them, also those that have not begun yet.
    func unsubscribeAll(_ client: ClientID, from channel: MessageChannel, replyTo: String? = nil) {
        if channel == .tables { pendingResumptions.removeAll(of: client) }
        hub.unsubscribeAll(client, from: channel, replyTo: replyTo)
    }

    /// Ends a client's subscription to a channel, for `tables` all of them; it receives `unsubscribed`. False when no
    /// client has that id.
    @discardableResult
    public func unsubscribe(_ clientID: String, from channel: MessageChannel) -> Bool {
        guard let client = clients[clientID] else { return false }
        unsubscribeAll(client.id, from: channel)
        return true
    }

    /// Closes a client's connection after all messages that were sent to it before.
    @discardableResult
    public func disconnect(_ clientID: String, _ code: CloseCode = .normal, reason: String = "") -> Bool {
        guard let client = clients[clientID] else { return false }
        hub.close(client.id, code, reason: reason)
        return true
    }
}

/// Why a new epoch began at the start of the service, before any client was connected: sent to clients that resume from another.
struct StartNotice: Sendable {
    let message: EncodedMessage
    /// For clients that may not learn the names of all tables.
    let restricted: EncodedMessage
}

/// Subscriptions that wait until it is known whether their position is valid. Thread-safe.
final class PendingResumptions: Sendable {
    static let maxPerClient = 100

    private struct State {
        var lastNumber: UInt64 = 0
        var numbers: [ClientID: Set<UInt64>] = [:]
    }

    private let state = Mutex(State())

    func add(_ client: ClientID) throws(ProtocolError) -> UInt64 {
        let number: UInt64? = state.withLock { state in
            guard state.numbers[client]?.count ?? 0 < Self.maxPerClient else { return nil }
            state.lastNumber += 1
            state.numbers[client, default: []].insert(state.lastNumber)
            return state.lastNumber
        }
        guard let number else {
            throw ProtocolError(.rateLimited, "more than \(Self.maxPerClient) subscriptions wait for the source")
        }
        return number
    }

    /// False when the client has ended it meanwhile.
    func remove(_ number: UInt64, of client: ClientID) -> Bool {
        state.withLock { state in
            let isPending = state.numbers[client]?.remove(number) != nil
            if state.numbers[client]?.isEmpty == true { state.numbers[client] = nil }
            return isPending
        }
    }

    func removeAll(of client: ClientID) { state.withLock { $0.numbers[client] = nil } }
}
