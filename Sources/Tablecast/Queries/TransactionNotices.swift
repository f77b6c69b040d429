import Broadcast
import QueryService
import WireProtocol

/// Tells a client on the WebSocket that its transaction was rolled back without its doing. Thread-safe.
struct TransactionNotices: QueryServiceEvents {
    let server: WebSocketServer

    func transactionRolledBack(_ client: ClientKey, _ failure: QueryFailure) {
        guard let client = server.clients[client.rawValue] else { return }
        let payload = ErrorPayload(message: failure.message, code: ErrorCode(rawValue: failure.code.rawValue))
        server.hub.send(EncodedMessage(EnvelopeHeader(.error, channel: .notifications), payload), to: client.id)
    }
}
