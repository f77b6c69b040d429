import HTTPTypes
import Hummingbird
import WebSocketTransport

extension Request {
    /// Runs `operation` and calls `handler`, once, if the client goes away meanwhile.
    ///
    /// On a server that does not report that (see ``ClientConnection``), the connection is read to its end and takes no further
    /// request: the response has to carry ``connectionHeaders``.
    func whileConnected<Result: Sendable>(
        onEnd handler: @escaping @Sendable () -> Void,
        _ operation: () async throws -> Result
    ) async throws -> Result {
        if let connection = ClientConnection.current {
            return try await connection.notifying(onEnd: handler, operation)
        }
        return try await body.consumeWithInboundCloseHandler { _ in
            try await operation()
        } onInboundClosed: {
            handler()
        }
    }

    /// What a response says of the connection after ``whileConnected(onEnd:_:)``.
    static var connectionHeaders: HTTPFields { ClientConnection.current == nil ? [.connection: "close"] : [:] }
}
