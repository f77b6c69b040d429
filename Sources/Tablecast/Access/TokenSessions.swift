package import Broadcast
import Logging
import Synchronization
import WireProtocol

/// The connections that clients opened with a token, so that each can be checked again when the tokens have changed.
/// Thread-safe.
package final class TokenSessions: Sendable {
    package enum Kind: Sendable, Hashable {
        case webSocket
        /// There are no close codes: what ends it is said in a message.
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

    /// Of the tokens that a session which begins now is checked against.
    var generation: Int { state.withLock { $0.generation } }

    /// - Returns: whether the tokens have been replaced since the session was let in, and it has to be checked again.
    func opened(_ client: ClientID, _ identity: Identity, _ kind: Kind) -> Bool {
        guard let credential = identity.credential else { return false }
        return state.withLock { state in
            state.sessions[client] = Session(client: client, identity: identity, kind: kind)
            return state.generation != credential.generation
        }
    }

    func closed(_ client: ClientID) { state.withLock { $0.sessions[client] = nil } }

    subscript(client: ClientID) -> Session? { state.withLock { $0.sessions[client] } }

    /// The tokens have been replaced: the sessions that were opened with the ones before.
    func replaced() -> [Session] {
        state.withLock { state in
            state.generation += 1
            return Array(state.sessions.values)
        }
    }
}

/// What an identity was proved with. Says nothing of who it is: all are equal, and none is printed.
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
    /// Checks the tokens of all open connections again, after those that are known have changed. A connection whose token is
    /// no longer valid is closed with 4401, one whose rights have changed with 1001, so that the client connects again and gets
    /// the new ones; their queries are cancelled, and what they began is rolled back. One whose token cannot be checked now
    /// stays.
    ///
    /// HTTP requests that are under way end with the rights that they began with.
    package func recheckTokens() async {
        for session in tokenSessions.replaced() { await recheck(session) }
    }

    /// To be called when a client that may have a token is connected.
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
        let refusal: AccessRefusal
        do {
            var current = try await authenticator.identity(of: token)
            current.credential = session.identity.credential
            guard current != session.identity else { return }
            hub.close(session.client, .goingAway, reason: "the rights of the token have changed: connect again")
            return
        } catch let error as AuthenticationError {
            refusal = .invalid(error.reason)
        } catch {
            logger.error("the token of an open connection could not be checked again: \(error)")
            return
        }
        if session.kind == .eventStream {
            let header = EnvelopeHeader(.error, channel: .notifications)
            hub.send(
                EncodedMessage(header, ErrorPayload(message: refusal.reason, code: refusal.code)),
                to: session.client
            )
        }
        hub.close(session.client, .unauthorized, reason: refusal.reason)
    }
}
