package import Broadcast
package import ChangeCapture
import Logging
package import NIOCore
import NIOHTTP1
import QueryEngine
import Synchronization
package import WebSocketTransport
package import WireProtocol

extension WebSocketServer {
    /// Determines the sender of a request.
    ///
    /// - Parameters:
    ///   - authorization: the values of its header `Authorization`.
    ///   - uri: its target, with the query.
    ///   - forwarded: the values of its header ``ForwardedIdentity/header``.
    package func identity(
        authorization: [String],
        uri: String,
        forwarded: [String] = []
    ) async throws(AccessRefusal) -> Identity {
        guard let authenticator = configuration.authenticator else {
            return try Identity.anonymous.forwarding(forwarded)
        }
        guard let token = try BearerToken.find(authorization: authorization, uri: uri) else { throw .missing }
        return try await identity(of: token, authenticator).forwarding(forwarded)
    }

    /// The identity that a token proves.
    func identity(of token: String, _ authenticator: any Authenticator) async throws(AccessRefusal) -> Identity {
        var identity: Identity
        // Before the token is checked: one that is replaced meanwhile is checked again.
        let credential = Credential(token: token, generation: connections.generation)
        do {
            identity = try await authenticator.identity(of: token)
        } catch let error as AuthenticationError {
            throw AccessRefusal(error)
        } catch {
            metrics.internalErrorOccurred()
            logger.error("a token could not be checked: \(error)")
            throw .unavailable
        }
        guard !identity.hasExpired(at: UnixTime.milliseconds) else { throw .expired }
        if !identity.rules.isEmpty { warn(about: identity.rules) }
        identity.credential = credential
        return identity
    }

    /// Logs the rules that do not fit their tables, each once: their clients see nothing of these tables.
    private func warn(about rules: RowRules) {
        guard let requests = databaseRequests else { return }
        for rule in rules.tableRules {
            let text = "\(rule.table): \(rule.condition.sql)"
            let isNew = ruleTexts.withLock { texts in
                texts.count < Self.maxRuleTexts && texts.insert(text).inserted
            }
            guard isNew, let problem = requests.problem(with: rule) else { continue }
            logger.warning(
                "a row rule does not fit the database, so its table is refused",
                metadata: ["table": "\(rule.table)", "rule": "\(rule.condition.sql)", "reason": "\(problem)"]
            )
        }
    }

    private static let maxRuleTexts = 1_000

    /// Decides on a connection before it becomes a WebSocket.
    func authorize(_ request: HTTPRequestHead) async -> WebSocketMount.Authorization {
        // The session refuses it: no token need be checked.
        guard !isStopping else { return .open(mount.makeSession) }
        do throws(AccessRefusal) {
            let identity = try await identity(
                authorization: request.headers["Authorization"],
                uri: request.uri,
                forwarded: request.headers[ForwardedIdentity.header]
            )
            return .open { [weak self] request, connection throws(UpgradeRefusal) in
                guard let self else { throw .stopping }
                return try session(for: request, of: identity, on: connection)
            }
        } catch {
            let refusal = UpgradeRefusal(error)
            logger.debug("token refused", metadata: ["reason": "\(refusal.reason)"])
            guard let session = Self.refusedSession(request, refusal) else { return .refuse(refusal) }
            return .open { _, _ throws(UpgradeRefusal) in RefusedSession(session.code, reason: session.reason) }
        }
    }

    /// The session of a new connection without tokens.
    func session(
        for request: HTTPRequestHead,
        on connection: ClientConnection
    ) throws(UpgradeRefusal) -> any WebSocketSession {
        let identity: Identity
        do throws(AccessRefusal) {
            identity = try Identity.anonymous.forwarding(request.headers[ForwardedIdentity.header])
        } catch {
            throw UpgradeRefusal(error)
        }
        return try session(for: request, of: identity, on: connection)
    }

    /// The session of a new connection.
    func session(
        for request: HTTPRequestHead,
        of identity: Identity,
        on connection: ClientConnection
    ) throws(UpgradeRefusal) -> any WebSocketSession {
        do throws(UpgradeRefusal) {
            try checkConnections(of: identity, from: connection.address)
            return try ClientSession(self, request, identity, from: connection.address)
        } catch {
            guard let session = Self.refusedSession(request, error) else { throw error }
            return RefusedSession(session.code, reason: session.reason)
        }
    }

    /// Nil when the handshake itself is refused: other programs, unlike pages, send no `Origin` and see the status.
    private static func refusedSession(
        _ request: HTTPRequestHead,
        _ refusal: UpgradeRefusal
    ) -> (code: CloseCode, reason: String)? {
        guard request.headers.contains(name: "Origin"), let code = refusal.closeCode else { return nil }
        return (code, refusal.reason)
    }
}

extension UpgradeRefusal {
    /// A server that restarts is back within a second or two.
    package static let stopping = UpgradeRefusal(
        .serviceUnavailable,
        "The server is stopping.",
        headers: ["Retry-After": "1"]
    )
}

/// The requests of clients that need a database. A server that only broadcasts has none.
package protocol DatabaseRequests: AnyObject, Sendable {
    /// The database's name in messages.
    var databaseName: String { get }
    /// The ids of the relays between the source and this server, itself included; empty for a source.
    var relays: [String] { get }
    /// The requests that it answers, as capabilities in `connection:ack`.
    var capabilities: [String] { get }
    /// The tables as the feed knows them, for a relay.
    var knownTables: [TableDescription] { get }
    /// Why the file cannot be read now; nil while it is watched.
    var goneBecause: String? { get }
    /// Whether positions can be valid that are not known here yet.
    var mayLearnOfPositions: Bool { get }
    /// Why a row rule does not fit the database; nil when it does.
    func problem(with rule: TableRule) -> String?

    /// Calls `body` once, on any thread, when everything that the source knows now is known here; for a source at once.
    ///
    /// - Throws: `RATE_LIMITED` when too many wait for a source that is away; then `body` is not called.
    func whenSourceIsKnown(_ body: @escaping @Sendable () -> Void) throws(ProtocolError)
    /// Throws the errors of the conditions of subscriptions to tables.
    func check(_ request: SubscribeRequest) throws(ProtocolError)
    /// A client is about to subscribe.
    func subscribes(_ request: SubscribeRequest)
    /// - Parameter eventLoop: the client's, on which it is called: queries that arrive in one turn of it may be queued together.
    func execute(_ query: QueryRequest, replyTo: String?, for client: ConnectedClient, on eventLoop: any EventLoop)
    /// Whether an identity may change rows at all; the authorizer checks each statement.
    func mayWrite(_ identity: Identity) -> Bool
    /// Sends the rows of a query, then the changes of every commit.
    func subscribe(_ request: LiveQueryRequest, replyTo: String?, for client: ConnectedClient) throws(ProtocolError)
    func unsubscribe(query: String, replyTo: String?, for client: ConnectedClient) throws(ProtocolError)
    /// - Parameter eventLoop: as for a query.
    func write(_ row: RowWriteRequest, replyTo: String?, for client: ConnectedClient, on eventLoop: any EventLoop)
    func cancel(queryID: String, replyTo: String?, by client: ConnectedClient) throws(ProtocolError)
    /// Sends the rows as of one position, then every change after it.
    func sendSnapshot(_ request: SubscribeRequest, replyTo: String?, to client: ConnectedClient) throws(ProtocolError)
    /// Cancels all queries and rolls back open transactions; returns when they have ended, or after two seconds.
    func endQueries() async
    /// Cancels the client's queries and rolls back its transaction.
    func left(_ client: ConnectedClient)
}

/// A connected client.
package struct ConnectedClient: Sendable {
    /// The id in the hub.
    package let id: ClientID
    /// The id in the protocol, as `clientId` and `userId`.
    package let name: String
    package let username: String
    /// Its identity and rights.
    package let identity: Identity
    /// The share of the limits that it uses: see ``Identity/share(from:)``.
    package var share: String?
}
