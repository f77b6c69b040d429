import Broadcast
import Logging
import NIOCore
import NIOHTTP1
import WebSocketTransport
import WireProtocol

/// One client on a WebSocket: its requests are answered in order. Confined to the connection's event loop.
final class ClientSession: WebSocketSession {
    private let server: WebSocketServer
    private let parameters: ConnectionParameters
    private var identity: Identity
    private let share: String?
    private let address: ClientAddress?
    private var rateLimit: RateLimit
    private var connection: WebSocketHandler?
    private var client: ConnectedClient?
    /// The client has subscribed as a relay.
    private var isRelay = false
    /// False for the connections of relays.
    private let isUser: Bool
    private var expiry: Scheduled<Void>?
    /// A new token is being checked.
    private var isRenewing = false

    /// Refuses a connection whose query string is invalid, or requests something that is not allowed.
    init(
        _ server: WebSocketServer,
        _ request: HTTPRequestHead,
        _ identity: Identity,
        from address: ClientAddress?
    ) throws(UpgradeRefusal) {
        self.server = server
        self.identity = identity
        self.address = address
        share = identity.share(from: address)
        isUser = ![RelayFormat.header, ForwardedIdentity.header].contains { request.headers.contains(name: $0) }
        do throws(ProtocolError) {
            parameters = try ConnectionParameters(uri: request.uri)
            for channel in parameters.channels { try identity.require(channel) }
        } catch {
            throw UpgradeRefusal(error.code == .forbidden ? .forbidden : .badRequest, error.message)
        }
        let limits = server.configuration.limits.clients
        rateLimit = RateLimit(
            perSecond: Double(max(limits.maxMessagesPerSecond, 1)),
            burst: max(limits.maxMessageBurst, 1),
            now: .now()
        )
    }

    // MARK: The connection

    func opened(_ connection: WebSocketHandler) {
        self.connection = connection
        var client: ConnectedClient?
        _ = server.hub.connect(connection, owner: identity.id, restriction: identity.restriction) { id in
            let name = MessageID.next()
            let username = identity.username ?? parameters.username ?? "anonymous"
            client = ConnectedClient(id: id, name: name, username: username, identity: identity, share: share)
            return [acknowledgement(clientName: name)]
        }
        guard let client else { return }
        self.client = client
        if let share { server.messageRates.enter(share, now: .now()) }
        logConnected(client)
        for channel in parameters.channels {
            attempt(client, replyTo: nil) { () throws(ProtocolError) in
                try subscribe(client, SubscribeRequest(channel: channel), replyTo: nil)
            }
        }
        server.clients.join(client, isUser: isUser, on: connection.eventLoop)
        watchExpiry()
        server.opened(
            ConnectionRegistry.Entry(
                client: client.id,
                name: client.name,
                identity: identity,
                transport: .webSocket,
                address: address,
                connectedAt: UnixTime.milliseconds
            )
        )
    }

    func received(text: ByteBuffer) {
        guard let client, let connection else { return }
        server.metrics.messageReceived()
        let now = NIODeadline.now()
        guard rateLimit.take(now: now) else {
            return closeForMessages(
                "more than \(server.configuration.limits.clients.maxMessagesPerSecond) messages a second",
                client
            )
        }
        if let share, !server.messageRates.take(share, now: now) {
            let limit = server.configuration.limits.clients.maxMessagesPerSecondOfIdentity
            return closeForMessages("more than \(limit) messages a second of all connections of \(whose)", client)
        }
        attempt(client, replyTo: nil) { () throws(ProtocolError) in
            let message = try ClientMessage(parsing: text.readableBytesView)
            attempt(client, replyTo: message.id) { () throws(ProtocolError) in
                try act(on: message, of: client, connection)
            }
        }
    }

    private var whose: String { identity.isAnonymous ? "this address" : "this identity" }

    private func closeForMessages(_ reason: String, _ client: ConnectedClient) {
        // Behind the answers that it has earned.
        server.hub.close(client.id, .tooManyMessages, reason: reason)
    }

    func drained() {
        if let client { server.hub.drained(client.id) }
    }

    func closed(_ status: CloseStatus) {
        guard let client, let connection else { return }
        server.metrics.connectionClosed(code: status.code)
        server.logger.info(
            "client disconnected",
            metadata: ["client": "\(client.name)", "code": "\(status.code)", "reason": "\(status.reason)"]
        )
        self.client = nil
        self.connection = nil
        expiry?.cancel()
        if let share { server.messageRates.leave(share) }
        server.closed(client.id)
        server.hub.disconnect(client.id)
        server.clients.leave(client, code: status.code, reason: status.reason, on: connection.eventLoop)
        if isRelay { server.clients.closed(client.id) }
        server.databaseRequests?.left(client)
    }

    private func logConnected(_ client: ConnectedClient) {
        server.metrics.connectionOpened(.webSocket)
        guard server.logger.logLevel <= .info else { return }
        var metadata: Logger.Metadata = [
            "client": "\(client.name)", "address": "\(address.map(\.description) ?? "none")",
        ]
        if !identity.id.isEmpty { metadata["identity"] = "\(identity.id)" }
        server.logger.info("client connected", metadata: metadata)
    }

    /// Closes the connection when its token expires, by the wall clock, which may be set meanwhile.
    private func watchExpiry() {
        guard let connection, let client, let rest = identity.timeUntilExpiryCheck else { return }
        guard rest > .zero else {
            server.hub.close(client.id, .unauthorized, reason: AccessRefusal.expired.reason)
            return
        }
        expiry = connection.eventLoop.assumeIsolated().scheduleTask(in: rest) { [weak self] in self?.watchExpiry() }
    }

    private func acknowledgement(clientName: String) -> EncodedMessage {
        let requests = server.databaseRequests
        var serverInfo = server.serverInfo
        if requests?.mayWrite(identity) == true { serverInfo.capabilities.append("write") }
        return EncodedMessage(
            EnvelopeHeader(.connectionAck, channel: .notifications),
            ConnectionAckPayload(
                clientID: clientName,
                connectedAt: UnixTime.milliseconds,
                serverInfo: serverInfo,
                heartbeatInterval: server.configuration.heartbeatInterval.milliseconds,
                database: requests?.databaseName,
                position: requests == nil ? nil : server.hub.position,
                expiresAt: identity.expiresAt,
                relays: requests.flatMap { $0.relays.isEmpty ? nil : $0.relays }
            )
        )
    }

    // MARK: Requests

    private func act(
        on message: ClientMessage,
        of client: ConnectedClient,
        _ connection: WebSocketHandler
    ) throws(ProtocolError) {
        switch message.body {
        case .subscribe(let request):
            try subscribe(client, request, replyTo: message.id)
        case .unsubscribe(_, let subscription?):
            try server.hub.unsubscribe(client.id, from: subscription, replyTo: message.id)
        case .unsubscribe(let channel, nil):
            server.unsubscribeAll(client.id, from: channel, replyTo: message.id)
        case .executeQuery(let query):
            try database().execute(query, replyTo: message.id, for: client, on: connection.eventLoop)
        case .writeRow(let row):
            try database().write(row, replyTo: message.id, for: client, on: connection.eventLoop)
        case .subscribeQuery(let request):
            try database().subscribe(request, replyTo: message.id, for: client)
        case .unsubscribeQuery(let subscription):
            try database().unsubscribe(query: subscription, replyTo: message.id, for: client)
        case .cancelQuery(let queryID):
            try database().cancel(queryID: queryID, replyTo: message.id, by: client)
        case .identify(let username):
            if let name = identity.username, name != username {
                throw ProtocolError(.forbidden, "data.username: this token's name is \(quoted(name))")
            }
            let renamed = ConnectedClient(
                id: client.id,
                name: client.name,
                username: username,
                identity: identity,
                share: share
            )
            self.client = renamed
            server.clients.identify(renamed, on: connection.eventLoop)
        case .renewToken(let token):
            try renew(with: token, replyTo: message.id, connection)
        case .cursor(let location):
            try identity.require(.collaboration)
            server.clients.moveCursor(client, to: location, on: connection.eventLoop)
        case .custom(RelayFormat.check, _) where isRelay:
            let (hub, id) = (server.hub, client.id)
            let header = EnvelopeHeader(RelayFormat.checked, channel: .notifications, replyTo: message.id)
            try database().whenSourceIsKnown {
                // The message can overtake transactions of a replay.
                let data: JSONValue = ["position": .string(hub.position.description)]
                hub.send(EncodedMessage(header, ServerPayload.custom(header.type, data)), to: id)
            }
        case .custom(RelayFormat.presence, let data) where isRelay && identity.mayExchangePresence:
            server.clients.received(try PresenceReport(data), from: .relay(client.id))
        case .custom(let type, let data):
            guard !type.isReserved else { throw ClientMessage.unknownType(type) }
            let event = ClientEvent.message(ClientInfo(client), type: type, data: data)
            // The application is the only receiver of such messages.
            guard server.clients.observers.publish(event) else { throw ClientMessage.unknownType(type) }
        case .heartbeat(let afterReplay):
            let header = EnvelopeHeader(.heartbeat, channel: .notifications, replyTo: message.id)
            let answer = EncodedMessage(header, HeartbeatPayload(timestamp: UnixTime.milliseconds))
            if afterReplay {
                server.hub.sendAfterReplay(answer, to: client.id)
            } else {
                server.hub.send(answer, to: client.id)
            }
        }
    }

    /// Checks another token. The connection continues with the present one meanwhile, and when the other is refused.
    private func renew(
        with token: String,
        replyTo: String?,
        _ connection: WebSocketHandler
    ) throws(ProtocolError) {
        guard let authenticator = server.configuration.authenticator else {
            throw ProtocolError(.forbidden, "this server requires no token, so there is none to renew")
        }
        guard !isRenewing else { throw ProtocolError(.busy, "another token of this connection is being checked") }
        isRenewing = true
        let server = server
        connection.eventLoop.makeFutureWithTask { () async -> Result<Identity, AccessRefusal> in
            do throws(AccessRefusal) {
                return .success(try await server.identity(of: token, authenticator))
            } catch {
                return .failure(error)
            }
        }.assumeIsolated().whenSuccess { [weak self] result in self?.renewed(result, replyTo: replyTo) }
    }

    private func renewed(_ result: Result<Identity, AccessRefusal>, replyTo: String?) {
        isRenewing = false
        guard let client else { return }
        attempt(client, replyTo: replyTo) { () throws(ProtocolError) in
            let (next, outcome) = try identity.renewal(result)
            identity = next
            let header = EnvelopeHeader(.tokenRenewed, channel: .notifications, replyTo: replyTo)
            server.hub.send(EncodedMessage(header, TokenRenewedPayload(expiresAt: next.expiresAt)), to: client.id)
            switch outcome {
            case .continues:
                server.renewed(client.id, next)
                expiry?.cancel()
                watchExpiry()
            case .reconnects:
                server.hub.close(client.id, .goingAway, reason: WebSocketServer.changedRights)
            }
        }
    }

    private func subscribe(
        _ client: ConnectedClient,
        _ request: SubscribeRequest,
        replyTo: String?
    ) throws(ProtocolError) {
        let request = try identity.narrowed(request)
        if request.isForRelay {
            isRelay = true
            server.hub.join(client.id, .relays)
            if identity.mayExchangePresence { server.clients.opened(client.id) }
        }
        if request.filters.contains(where: { $0.condition != nil || !$0.rules.isEmpty }) {
            try database().check(request)
        }
        server.databaseRequests?.subscribes(request)
        if request.wantsSnapshot {
            try database().sendSnapshot(request, replyTo: replyTo, to: client)
            return
        }
        try server.subscribe(client.id, of: identity, to: request, replyTo: replyTo)
    }

    private func database() throws(ProtocolError) -> any DatabaseRequests {
        guard let requests = server.databaseRequests else {
            throw ProtocolError(.forbidden, "this server broadcasts only: it has no database")
        }
        return requests
    }

    /// Answers with `error` when the request fails; the connection stays open.
    private func attempt(_ client: ConnectedClient, replyTo: String?, _ body: () throws(ProtocolError) -> Void) {
        do throws(ProtocolError) {
            try body()
        } catch {
            server.logger.debug(
                "request refused",
                metadata: [
                    "client": "\(client.name)", "code": "\(error.code.rawValue)", "error": "\(error.message)",
                ]
            )
            server.hub.send(.error(error, replyTo: replyTo), to: client.id)
        }
    }
}
