import NIOCore
import NIOHTTP1

/// The client's half of the opening handshake, RFC 6455 section 4.1: the request, and the check of the response. No
/// I/O.
struct ClientHandshake {
    private let key = WebSocketKey.random()
    private let client: WebSocketClient
    private let url: WebSocketURL

    init(client: WebSocketClient, url: WebSocketURL) {
        self.client = client
        self.url = url
    }

    var request: HTTPRequestHead {
        var headers: HTTPHeaders = [
            "Host": url.hostHeader, "Upgrade": "websocket", "Connection": "Upgrade",
            "Sec-WebSocket-Key": key.text, "Sec-WebSocket-Version": "13",
        ]
        if !client.subprotocols.isEmpty {
            headers.add(name: "Sec-WebSocket-Protocol", value: client.subprotocols.joined(separator: ", "))
        }
        if client.offersCompression {
            headers.add(name: "Sec-WebSocket-Extensions", value: DeflateAgreement.clientOffer)
        }
        headers.add(contentsOf: client.headers)
        return HTTPRequestHead(version: .http1_1, method: .GET, uri: url.target, headers: headers)
    }

    /// Checks a 101 response, and returns the agreed compression.
    func check(_ head: HTTPResponseHead) throws(WebSocketClientError) -> DeflateAgreement? {
        guard HeaderTokens.contain("websocket", in: head.headers["Upgrade"]),
            HeaderTokens.contain("upgrade", in: head.headers["Connection"])
        else {
            throw .invalidHandshake("the headers 'Upgrade' and 'Connection' do not switch to websocket")
        }
        guard head.headers["Sec-WebSocket-Accept"] == [key.accept] else {
            throw .invalidHandshake("the header 'Sec-WebSocket-Accept' does not match the key")
        }
        if let subprotocol = head.headers.first(name: "Sec-WebSocket-Protocol") {
            guard client.subprotocols.contains(subprotocol) else {
                throw .invalidHandshake("it chose the subprotocol '\(subprotocol)', which was not offered")
            }
        }
        let extensions = ExtensionOffer.parse(head.headers["Sec-WebSocket-Extensions"])
        guard let answer = extensions.first else { return nil }
        guard client.offersCompression, extensions.count == 1, let deflate = DeflateAgreement(answer: answer) else {
            throw .invalidHandshake("it uses the extension '\(answer.name)' in a way that was not offered")
        }
        return deflate
    }
}

/// Sends the opening handshake and replaces itself by a ``WebSocketHandler`` when the server accepts.
final class ClientHandshakeHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let handshake: ClientHandshake
    private let client: WebSocketClient
    private let url: WebSocketURL
    private let opened: EventLoopPromise<WebSocketConnection>
    private let encoder = HTTPRequestEncoder()
    private let decoder = ByteToMessageHandler(HTTPResponseDecoder(leftOverBytesStrategy: .forwardBytes))
    private var response: HTTPResponseHead?
    /// The text of a refusal, for the error.
    private var body = ByteBuffer()
    private let maxBodyBytes = 4096
    private var timeout: Scheduled<Void>?
    /// The bytes after the response, once it is complete; nil before.
    private var early: [NIOAny]?

    init(
        client: WebSocketClient,
        url: WebSocketURL,
        channel: any Channel,
        opened: EventLoopPromise<WebSocketConnection>
    ) throws {
        self.client = client
        self.url = url
        self.opened = opened
        handshake = ClientHandshake(client: client, url: url)
        try channel.pipeline.syncOperations.addHandlers([encoder, decoder])
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { start(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        start(context)
    }

    private func start(_ context: ChannelHandlerContext) {
        guard timeout == nil else { return }
        timeout = context.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(client.limits.handshakeTimeout)) {
            self.fail(WebSocketClientError.timedOut, context)
        }
        context.write(wrapOutboundOut(.head(handshake.request)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard early == nil else {
            early?.append(data)
            return
        }
        switch unwrapInboundIn(data) {
        case .head(let head):
            response = head
        case .body(var part):
            let room = maxBodyBytes - body.readableBytes
            if let slice = part.readSlice(length: min(room, part.readableBytes)) {
                body.writeImmutableBuffer(slice)
            }
        case .end:
            if let response { finish(response, context) }
        }
    }

    private func finish(_ head: HTTPResponseHead, _ context: ChannelHandlerContext) {
        guard head.status == .switchingProtocols else {
            var reason = String(decoding: body.readableBytesView, as: UTF8.self)
            while reason.last?.isWhitespace == true { reason.removeLast() }
            fail(WebSocketClientError.refused(status: Int(head.status.code), reason: reason), context)
            return
        }
        do {
            let deflate = try handshake.check(head)
            open(deflate, context)
        } catch {
            fail(error, context)
        }
    }

    private func open(_ deflate: DeflateAgreement?, _ context: ChannelHandlerContext) {
        timeout?.cancel()
        let session = WebSocketClientSession(receive: client.receive)
        let webSocket = WebSocketHandler(
            role: .client,
            session: session,
            deflate: deflate,
            isPlain: !url.isSecure,
            resources: TransportResources(limits: client.limits),
            eventLoop: context.eventLoop
        )
        let connection = session.connection(webSocket, context.channel)
        let pipeline = context.pipeline.syncOperations
        _ = pipeline.removeHandler(encoder)
        // The decoder leaves in the next turn, after it has passed on the bytes that it read after the response. Until
        // then it intercepts everything that is written as a request, so nothing may be answered yet.
        early = []
        pipeline.removeHandler(decoder).assumeIsolated().whenComplete { _ in
            do {
                try pipeline.addHandler(webSocket, position: .after(self))
            } catch {
                return self.fail(error, context)
            }
            for data in self.early ?? [] { context.fireChannelRead(data) }
            self.early = nil
            _ = pipeline.removeHandler(self)
            self.opened.succeed(connection)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(WebSocketClientError.connectionLost, context)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        let isForeign = error is HTTPParserError
        fail(isForeign ? WebSocketClientError.invalidHandshake("it is not HTTP") : error, context)
    }

    private func fail(_ error: any Error, _ context: ChannelHandlerContext) {
        timeout?.cancel()
        opened.fail(error)
        context.close(promise: nil)
    }
}
