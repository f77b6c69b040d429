import Logging
import NIOCore
import NIOHTTP1
import WebSocketTransport
import WireProtocol

extension WebSocketServer {
    /// Finds out who sent a request.
    ///
    /// - Parameters:
    ///   - authorization: the values of its header `Authorization`.
    ///   - uri: its target, with the query.
    package func identity(authorization: [String], uri: String) async throws(AccessRefusal) -> Identity {
        guard let authenticator = configuration.authenticator else { return .anonymous }
        guard let token = try BearerToken.find(authorization: authorization, uri: uri) else { throw .missing }
        var identity: Identity
        // Before the token is checked: one that is replaced meanwhile is checked again.
        let credential = Credential(token: token, generation: tokenSessions.generation)
        do {
            identity = try await authenticator.identity(of: token)
        } catch let error as AuthenticationError {
            throw .invalid(error.reason)
        } catch {
            logger.error("a token could not be checked: \(error)")
            throw .unavailable
        }
        guard !identity.hasExpired(at: UnixTime.milliseconds) else { throw .expired }
        identity.credential = credential
        return identity
    }

    /// Decides on a connection before it becomes a WebSocket.
    func authorize(_ request: HTTPRequestHead) async -> WebSocketMount.Authorization {
        do throws(AccessRefusal) {
            let identity = try await identity(authorization: request.headers["Authorization"], uri: request.uri)
            return .open { [weak self] request, connection throws(UpgradeRefusal) in
                guard let self else { throw .stopping }
                return try session(for: request, of: identity, on: connection)
            }
        } catch {
            let refusal = UpgradeRefusal(error)
            guard let session = Self.refusedSession(request, refusal) else { return .refuse(refusal) }
            return .open { _, _ throws(UpgradeRefusal) in RefusedSession(session.code, reason: session.reason) }
        }
    }

    /// What stands above a new connection.
    func session(
        for request: HTTPRequestHead,
        of identity: Identity,
        on connection: ClientConnection
    ) throws(UpgradeRefusal) -> any WebSocketSession {
        do throws(UpgradeRefusal) {
            return try ClientSession(self, request, identity, from: connection.address)
        } catch {
            guard let session = Self.refusedSession(request, error) else { throw error }
            return RefusedSession(session.code, reason: session.reason)
        }
    }

    /// Nil where the handshake itself says it: programs, unlike pages, send no `Origin` and see the status.
    private static func refusedSession(
        _ request: HTTPRequestHead,
        _ refusal: UpgradeRefusal
    ) -> (code: CloseCode, reason: String)? {
        guard request.headers.contains(name: "Origin"), let code = refusal.closeCode else { return nil }
        return (code, refusal.reason)
    }
}

extension UpgradeRefusal {
    static let stopping = UpgradeRefusal(.serviceUnavailable, "The server is stopping.")
}
