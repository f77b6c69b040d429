import NIOCore
import WebSocketTransport
public import WireProtocol

/// A message of the server.
public struct ReceivedMessage: Sendable, Hashable {
    public let envelope: Envelope
    /// The message as received.
    public let json: String

    package init(envelope: Envelope, json: String) {
        self.envelope = envelope
        self.json = json
    }
}

/// One open connection to a server. May be used from any task.
///
/// The connection is closed when its ``messages`` are iterated and the iterator is released, or with ``close()``.
public final class ClientConnection: Sendable {
    private let webSocket: WebSocketConnection

    init(_ webSocket: WebSocketConnection) { self.webSocket = webSocket }

    /// The server's messages in order, for one reader, beginning with `connection:ack`; they end with the connection.
    ///
    /// Nothing is dropped: a reader that falls behind stops reading from the socket after about a hundred messages.
    public var messages: ReceivedMessages { ReceivedMessages(base: webSocket.messages) }

    /// Sends one message, and returns when the connection is ready for the next.
    ///
    /// - Throws: ``TablecastClientError/Code/disconnected`` when the connection has ended.
    public func send(_ message: ClientMessage) async throws(TablecastClientError) {
        do {
            try await webSocket.send(message.json)
        } catch {
            throw TablecastClientError(connecting: error)
        }
    }

    /// Performs the close handshake, and returns when the connection has ended. The server cancels the connection's
    /// queries, and rolls back its transaction.
    public func close() async { await webSocket.close(.normal) }

    /// Why the connection ended; waits for the end.
    public var failure: TablecastClientError {
        get async { TablecastClientError(await webSocket.status) }
    }
}

/// The messages of a ``ClientConnection``.
public struct ReceivedMessages: AsyncSequence, Sendable {
    public typealias Element = ReceivedMessage
    public typealias Failure = TablecastClientError

    let base: ClientMessages

    public func makeAsyncIterator() -> Iterator { Iterator(base: base.makeAsyncIterator()) }

    public struct Iterator: AsyncIteratorProtocol {
        var base: ClientMessages.AsyncIterator

        public mutating func next() async throws(TablecastClientError) -> ReceivedMessage? {
            try await next(isolation: nil)
        }

        /// - Throws: ``TablecastClientError/Code/protocolViolation`` for a message that this version cannot read: what
        ///   follows could be incomplete.
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(TablecastClientError) -> ReceivedMessage? {
            guard let text = await base.next(isolation: actor) else { return nil }
            return ReceivedMessage(envelope: try Envelope(received: text.utf8), json: text)
        }
    }
}

extension Envelope {
    /// - Throws: ``TablecastClientError/Code/protocolViolation``
    init(received json: some Sequence<UInt8>) throws(TablecastClientError) {
        do {
            try self.init(parsing: json)
        } catch {
            throw TablecastClientError(.protocolViolation, "unknown message from the server: \(error)")
        }
    }
}
