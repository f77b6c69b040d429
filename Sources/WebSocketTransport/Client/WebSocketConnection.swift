import NIOCore
package import WireProtocol

/// An open connection of a ``WebSocketClient``. May be used from any task.
package final class WebSocketConnection: Sendable {
    /// The server's text messages in order, for one reader. It ends with the connection; then ``status`` says why.
    ///
    /// A reader that falls behind stops the reading from the socket, and so in the end the server: nothing is dropped and
    /// no more than about a hundred messages wait. When the reader goes away, the connection is closed.
    package let messages: ClientMessages
    private let handler: NIOLoopBound<WebSocketHandler>
    private let session: NIOLoopBound<ClientSession>
    private let closed: EventLoopFuture<CloseStatus>
    private let channel: any NIOCore.Channel

    init(
        messages: ClientMessages,
        handler: WebSocketHandler,
        session: ClientSession,
        closed: EventLoopFuture<CloseStatus>,
        channel: any NIOCore.Channel
    ) {
        self.messages = messages
        self.handler = NIOLoopBound(handler, eventLoop: channel.eventLoop)
        self.session = NIOLoopBound(session, eventLoop: channel.eventLoop)
        self.closed = closed
        self.channel = channel
    }

    /// Sends one text message and returns when the connection is ready for the next.
    ///
    /// - Throws: ``WebSocketClientError/closed(_:)``
    package func send(_ text: String) async throws {
        try await channel.eventLoop.flatSubmit { [handler, session] in
            handler.value.send(text: ByteBuffer(string: text))
            return session.value.whenWritable(handler.value)
        }.get()
    }

    /// Sends a ping; the pong is taken notice of by the heartbeat alone.
    package func ping() async throws {
        try await channel.eventLoop.submit { [handler] in
            handler.value.ping()
        }.get()
    }

    /// Does the close handshake, and returns when the connection is gone.
    package func close(_ code: CloseCode = .normal, reason: String = "") async {
        channel.eventLoop.execute { [handler] in
            handler.value.close(code, reason: reason)
        }
        // It cannot fail: the end of a channel is always success.
        try? await channel.closeFuture.get()
    }

    /// How the connection ended; waits for it.
    package var status: CloseStatus {
        get async { (try? await closed.get()) ?? .lost }
    }
}
