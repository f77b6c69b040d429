package import NIOCore
package import WireProtocol

/// An open connection of a ``WebSocketClient``. May be used from any task.
package final class WebSocketConnection: Sendable {
    /// The server's text messages in order, for one reader. The sequence ends with the connection; ``status`` contains
    /// the reason.
    ///
    /// A reader that falls behind stops reading from the socket, and so eventually the server: nothing is dropped and
    /// no more than about a hundred messages wait. When the reader is released, the connection is closed.
    ///
    /// Empty when the messages go to ``WebSocketClient/receive``.
    package let messages: ClientMessages
    private let handler: NIOLoopBound<WebSocketHandler>
    private let session: NIOLoopBound<WebSocketClientSession>
    private let closed: EventLoopFuture<CloseStatus>
    private let channel: any NIOCore.Channel

    init(
        messages: ClientMessages,
        handler: WebSocketHandler,
        session: WebSocketClientSession,
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

    /// Sends a ping; only the heartbeat handles the pong.
    package func ping() async throws {
        try await channel.eventLoop.submit { [handler] in
            handler.value.ping()
        }.get()
    }

    /// Performs the close handshake, and returns when the connection has ended.
    package func close(_ code: CloseCode = .normal, reason: String = "") async {
        channel.eventLoop.execute { [handler] in
            handler.value.close(code, reason: reason)
        }
        // It cannot fail: the end of a channel is always success.
        try? await channel.closeFuture.get()
    }

    /// How the connection ended; waits for the end.
    package var status: CloseStatus {
        get async { (try? await closed.get()) ?? .lost }
    }
}

/// The server's text messages in order; see ``WebSocketConnection/messages``.
package typealias ClientMessages = NIOAsyncSequenceProducer<
    String, NIOAsyncSequenceProducerBackPressureStrategies.HighLowWatermark, ClientDemand
>

/// Passes the reader's demand back to the connection's event loop.
package struct ClientDemand: NIOAsyncSequenceProducerDelegate {
    let handler: NIOLoopBound<WebSocketHandler>
    let eventLoop: any EventLoop

    package func produceMore() {
        eventLoop.execute { handler.value.isReading = true }
    }

    package func didTerminate() {
        eventLoop.execute {
            handler.value.isReading = true
            handler.value.close(.normal)
        }
    }
}

/// Connects a connection's events to the sequence that a task reads. Confined to the event loop.
final class WebSocketClientSession: WebSocketSession {
    private var source: ClientMessages.Source?
    private var closed: EventLoopPromise<CloseStatus>?
    private var handler: WebSocketHandler?
    private var status: CloseStatus?
    private var waitingSenders: [EventLoopPromise<Void>] = []
    /// Senders wait beyond this.
    private let maxUnsentBytes = 1 << 20
    private let receive: WebSocketClient.Receive?

    init(receive: WebSocketClient.Receive?) { self.receive = receive }

    /// Connects this session to its connection, before anything can arrive.
    func connection(_ handler: WebSocketHandler, _ channel: any NIOCore.Channel) -> WebSocketConnection {
        let eventLoop = channel.eventLoop
        let made = NIOAsyncSequenceProducer.makeSequence(
            elementType: String.self,
            backPressureStrategy: NIOAsyncSequenceProducerBackPressureStrategies.HighLowWatermark(
                lowWatermark: 20,
                highWatermark: 100
            ),
            finishOnDeinit: true,
            delegate: ClientDemand(handler: NIOLoopBound(handler, eventLoop: eventLoop), eventLoop: eventLoop)
        )
        let closed = eventLoop.makePromise(of: CloseStatus.self)
        source = made.source
        self.closed = closed
        self.handler = handler
        return WebSocketConnection(
            messages: made.sequence,
            handler: handler,
            session: self,
            closed: closed.futureResult,
            channel: channel
        )
    }

    /// Succeeds when the connection takes more, and fails once it is over.
    func whenWritable(_ handler: WebSocketHandler) -> EventLoopFuture<Void> {
        if let status {
            return handler.eventLoop.makeFailedFuture(WebSocketClientError.closed(status))
        }
        if handler.queuedBytes <= maxUnsentBytes { return handler.eventLoop.makeSucceededVoidFuture() }
        let promise = handler.eventLoop.makePromise(of: Void.self)
        waitingSenders.append(promise)
        return promise.futureResult
    }

    func opened(_ connection: WebSocketHandler) {}

    func received(text: ByteBuffer) {
        if let receive {
            if !receive(text) { handler?.close(.normal) }
        } else if source?.yield(String(buffer: text)) == .stopProducing {
            handler?.isReading = false
        }
    }

    func drained() {
        let senders = waitingSenders
        waitingSenders = []
        for sender in senders { sender.succeed() }
    }

    func closed(_ status: CloseStatus) {
        self.status = status
        source?.finish()
        source = nil
        handler = nil
        closed?.succeed(status)
        let senders = waitingSenders
        waitingSenders = []
        for sender in senders { sender.fail(WebSocketClientError.closed(status)) }
    }
}
