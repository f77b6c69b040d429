package import Broadcast
import Logging
import Synchronization
import WireProtocol

/// The connections that clients opened with a token, so that each can be checked again when the tokens have changed.
/// Thread-safe.
package final class TokenSessions: Sendable {
    package enum Kind: Sendable, Hashable {
        case webSocket
        /// It has no close codes: an `error` message carries the reason of its end.
        case eventStream
    }

    struct Session: Sendable {
        let client: ClientID
        let identity: Identity
        let kind: Kind
    }

    private struct State: Sendable {
        var sessions: [ClientID: Session] = [:]
        /// How often the tokens were replaced.
        var generation = 0
    }

    private let state = Mutex(State())

    /// The generation of the tokens that a new session is checked against.
    var generation: Int { state.withLock { $0.generation } }

    /// - Returns: whether the tokens were replaced after the session was admitted, so that it must be checked again.
    func opened(_ client: ClientID, _ identity: Identity, _ kind: Kind) -> Bool {
        guard let credential = identity.credential else { return false }
        return state.withLock { state in
            state.sessions[client] = Session(client: client, identity: identity, kind: kind)
            return state.generation != credential.generation
        }
    }

    func closed(_ client: ClientID) { state.withLock { $0.sessions[client] = nil } }

    subscript(client: ClientID) -> Session? { state.withLock { $0.sessions[client] } }

    /// Call it when the tokens were replaced. Returns the sessions that were opened with the previous ones.
    func replaced() -> [Session] {
        state.withLock { state in
            state.generation += 1
            return Array(state.sessions.values)
        }
    }
}

/// The token that proved an identity. It is not part of the identity: all credentials are equal, and none is printed.
struct Credential: Sendable, Hashable, CustomStringConvertible, CustomReflectable {
    let token: String
    /// ``TokenSessions/generation`` when it was checked.
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
        for session in tokenSessions.replaced() { await recheck(session) }
    }

    /// Call it when a client that may have a token has connected.
    package func opened(_ client: ClientID, as identity: Identity, over kind: TokenSessions.Kind) {
        guard tokenSessions.opened(client, identity, kind) else { return }
        Task { [weak self] in
            guard let self, let session = tokenSessions[client] else { return }
            await recheck(session)
        }
    }

    package func closed(_ client: ClientID) { tokenSessions.closed(client) }

    private func recheck(_ session: TokenSessions.Session) async {
        guard let authenticator = configuration.authenticator, let token = session.identity.credential?.token else {
            return
        }
        do {
            var current = try await authenticator.identity(of: token)
            current.credential = session.identity.credential
            guard current != session.identity else { return }
            end(session, .goingAway, .forbidden, "the rights of the token have changed: connect again")
        } catch let error as AuthenticationError {
            let refusal = AccessRefusal.invalid(error.reason)
            end(session, .unauthorized, refusal.code, refusal.reason)
        } catch {
            logger.error("the token of an open connection could not be checked again: \(error)")
        }
    }

    private func end(_ session: TokenSessions.Session, _ closeCode: CloseCode, _ code: ErrorCode, _ reason: String) {
        if session.kind == .eventStream {
            let header = EnvelopeHeader(.error, channel: .notifications)
            hub.send(EncodedMessage(header, ErrorPayload(message: reason, code: code)), to: session.client)
        }
        hub.close(session.client, closeCode, reason: reason)
    }
}
