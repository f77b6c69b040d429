package import Broadcast
import Logging
import NIOHTTP1
import Synchronization
package import WebSocketTransport
package import WireProtocol

/// The connected clients over WebSockets and event streams, for administrators, and so that the token of each can be
/// checked again when the tokens have changed. Thread-safe.
package final class ConnectionRegistry: Sendable {
    package enum Transport: String, Sendable, Hashable {
        case webSocket = "websocket"
        /// It has no close codes: an `error` message carries the reason of its end.
        case eventStream = "stream"
    }

    package struct Entry: Sendable {
        package let client: ClientID
        /// The `clientId` in the protocol.
        package let name: String
        package var identity: Identity
        package let transport: Transport
        package let address: ClientAddress?
        /// Unix milliseconds.
        package let connectedAt: Int64
        /// The share of the limits that it uses: see ``Identity/share(from:)``.
        fileprivate let share: String?

        package init(
            client: ClientID,
            name: String,
            identity: Identity,
            transport: Transport,
            address: ClientAddress?,
            connectedAt: Int64
        ) {
            self.client = client
            self.name = name
            self.identity = identity
            self.transport = transport
            self.address = address
            self.connectedAt = connectedAt
            share = identity.share(from: address)
        }
    }

    private struct State: Sendable {
        var entries: [ClientID: Entry] = [:]
        /// The number of connections of each share.
        var counts: [String: Int] = [:]
        /// How often the tokens were replaced.
        var generation = 0

        /// Whether the tokens were replaced after this one was checked.
        func isOutdated(_ identity: Identity) -> Bool {
            identity.credential.map { $0.generation != generation } ?? false
        }
    }

    private let state = Mutex(State())

    /// The generation of the tokens that a new connection is checked against.
    var generation: Int { state.withLock { $0.generation } }

    /// - Returns: whether the tokens were replaced after the connection was admitted, so that its token must be checked
    ///   again.
    func opened(_ entry: Entry) -> Bool {
        state.withLock { state in
            state.entries[entry.client] = entry
            if let share = entry.share { state.counts[share, default: 0] += 1 }
            return state.isOutdated(entry.identity)
        }
    }

    /// The client continues with another token.
    ///
    /// - Returns: as ``opened(_:)``.
    func renewed(_ client: ClientID, _ identity: Identity) -> Bool {
        state.withLock { state in
            guard state.entries[client] != nil else { return false }
            state.entries[client]?.identity = identity
            return state.isOutdated(identity)
        }
    }

    func closed(_ client: ClientID) {
        state.withLock { state in
            guard let share = state.entries.removeValue(forKey: client)?.share, let count = state.counts[share] else {
                return
            }
            state.counts[share] = count > 1 ? count - 1 : nil
        }
    }

    /// The number of connections that use a share.
    func count(ofShare share: String) -> Int { state.withLock { $0.counts[share] ?? 0 } }

    subscript(client: ClientID) -> Entry? { state.withLock { $0.entries[client] } }

    /// In the order of connecting.
    var all: [Entry] {
        state.withLock { Array($0.entries.values) }.sorted { $0.client.number < $1.client.number }
    }

    /// Call it when the tokens were replaced. Returns the connections that were opened with the previous ones.
    func replaced() -> [Entry] {
        state.withLock { state in
            state.generation += 1
            return state.entries.values.filter { $0.identity.credential != nil }
        }
    }
}

/// The token that proved an identity. It is not part of the identity: all credentials are equal, and none is printed.
struct Credential: Sendable, Hashable, CustomStringConvertible, CustomReflectable {
    let token: String
    /// ``ConnectionRegistry/generation`` when it was checked.
    let generation: Int

    static func == (_: Credential, _: Credential) -> Bool { true }
    func hash(into _: inout Hasher) {}

    var description: String { "a token" }
    var customMirror: Mirror { Mirror(self, children: []) }
}

extension WebSocketServer {
    /// Checks the tokens of all open connections again after the tokens were replaced. A connection whose token is no longer
    /// valid is closed with 4401, one whose rights have changed with 1001, so that the client reconnects with the new rights;
    /// event streams receive the reason in an `error` message first. Queries of these connections are cancelled, and open
    /// transactions rolled back. A connection whose token cannot be checked stays open.
    ///
    /// HTTP requests in progress end with the rights that they began with.
    package func recheckTokens() async {
        for connection in connections.replaced() { await recheck(connection) }
    }

    /// Refuses every further connection of a server that stops, and one of an identity or, without tokens, of an address
    /// that has as many as it may have. Connections that open at the same moment are not counted yet.
    package func checkConnections(of identity: Identity, from address: ClientAddress?) throws(UpgradeRefusal) {
        guard !isStopping else { throw .stopping }
        let limits = configuration.limits.clients
        guard limits.maxConnectionsOfIdentity < limits.maxConnections, let share = identity.share(from: address),
            connections.count(ofShare: share) >= limits.maxConnectionsOfIdentity
        else { return }
        let whose = identity.isAnonymous ? "this address" : "this identity"
        throw UpgradeRefusal(
            .tooManyRequests,
            "the limit of \(limits.maxConnectionsOfIdentity) connections of \(whose) is reached",
            headers: ["Retry-After": "5"]
        )
    }

    /// Call it when a client has connected.
    package func opened(_ connection: ConnectionRegistry.Entry) {
        if connections.opened(connection) { recheckLater(connection.client) }
        // It was admitted before the server began to stop, and may have missed the end of all clients.
        if isStopping { hub.close(connection.client, .goingAway, reason: Self.goingAway) }
    }

    /// The client's connection continues with another token of the same identity.
    func renewed(_ client: ClientID, _ identity: Identity) {
        if connections.renewed(client, identity) { recheckLater(client) }
    }

    package func closed(_ client: ClientID) {
        connections.closed(client)
        pendingResumptions.removeAll(of: client)
    }

    private func recheckLater(_ client: ClientID) {
        Task { [weak self] in
            guard let self, let connection = connections[client] else { return }
            await recheck(connection)
        }
    }

    private func recheck(_ connection: ConnectionRegistry.Entry) async {
        guard let authenticator = configuration.authenticator, let token = connection.identity.credential?.token else {
            return
        }
        do {
            var current = try await authenticator.identity(of: token)
            current.credential = connection.identity.credential
            current.forwarded = connection.identity.forwarded
            // Another token may have taken its place meanwhile.
            guard current != connection.identity, connections[connection.client]?.identity == connection.identity else {
                return
            }
            end(connection, .goingAway, .forbidden, Self.changedRights)
        } catch let error as AuthenticationError {
            guard connections[connection.client]?.identity == connection.identity else { return }
            let refusal = AccessRefusal(error)
            end(connection, error.isForbidden ? .forbidden : .unauthorized, refusal.code, refusal.reason)
        } catch {
            logger.error("the token of an open connection could not be checked again: \(error)")
        }
    }

    static let changedRights = "the rights of the token have changed: connect again"

    private func end(
        _ connection: ConnectionRegistry.Entry,
        _ closeCode: CloseCode,
        _ code: ErrorCode,
        _ reason: String
    ) {
        if connection.transport == .eventStream {
            let header = EnvelopeHeader(.error, channel: .notifications)
            hub.send(EncodedMessage(header, ErrorPayload(message: reason, code: code)), to: connection.client)
        }
        hub.close(connection.client, closeCode, reason: reason)
    }

    /// Closes a client's connection for an administrator: a WebSocket with 4403, an event stream after `error`.
    ///
    /// - Throws: `CLIENT_NOT_FOUND`.
    package func endClient(_ name: String) throws(ProtocolError) {
        guard let connection = connections.all.first(where: { $0.name == name }) else {
            throw ProtocolError(.clientNotFound, "no client \(quoted(name)) is connected")
        }
        end(connection, .forbidden, .forbidden, "an administrator has closed this connection")
    }
}
