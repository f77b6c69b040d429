import NIOCore
import NIOHTTP1

/// Examines every request of an HTTP/1 connection, upgrades the connection when one asks for a WebSocket, and passes
/// all others through unchanged.
///
/// It answers refusals itself, waits for the responses to pipelined requests before it switches protocols, and ends
/// connections that take too long to send a request.
final class HTTPUpgradeHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// The HTTP server behind this handler: how it is added to the pipeline, and its callbacks.
    struct Others {
        var install: (any Channel) throws -> Void
        var upgraded: () -> Void
        var ended: () -> Void
    }

    private enum State {
        case betweenRequests
        /// A request is being passed on; nothing to do until its end.
        case passing
        /// A request for a WebSocket; its end, or the responses to earlier requests, are missing.
        case asked(HTTPRequestHead, isComplete: Bool)
        case authorizing
        /// An invalid request; the responses to earlier requests are missing.
        case invalid(UpgradeRefusal, isComplete: Bool)
        /// The last response was sent before its request was complete. The rest is read and discarded for a while: if
        /// the connection were closed at once, it would be reset, and the response lost in transit (RFC 9112 section
        /// 9.6).
        case lingering
        /// Upgraded, refused or ended.
        case done
    }

    private let mount: WebSocketMount
    private let pipeline: HTTPUpgradePipeline
    private let others: Others?
    private let connection: ClientConnection
    private var state = State.betweenRequests
    private var context: ChannelHandlerContext?
    private var hasInstalledOthers = false
    private var hasNotifiedOthers = false
    private var openResponses = 0
    /// NIO's decoder stops permanently after any request with `Upgrade`, so such a connection must end with its
    /// response.
    private var closesAfterResponses = false
    /// HTTP/1.0 has no chunked coding, and its connections end with the response: RFC 9112 sections 6.1 and 9.3.
    private var speaksHTTP10 = false
    /// The current request is HEAD: its response has no body.
    private var isHead = false
    private var holdsRead = false
    /// Writes are frames from now on: a session may send, or close, as soon as it is opened.
    private var hasSwitched = false
    /// When the next request head, or the next piece of its body, must have arrived; nil while a response is in
    /// progress.
    private var deadline: NIODeadline?
    /// When a request that was incomplete at the start of a shutdown must be complete.
    private var quiesceDeadline: NIODeadline?
    private var body: BodyPace
    private var response: ResponseStall
    var tickerIndex = -1

    init(mount: WebSocketMount, pipeline: HTTPUpgradePipeline, others: Others?, connection: ClientConnection) {
        self.mount = mount
        self.connection = connection
        self.pipeline = pipeline
        self.others = others
        body = BodyPace(patience: TimeAmount(mount.limits.bodyTimeout))
        response = ResponseStall(patience: TimeAmount(mount.limits.responseTimeout))
    }

    // MARK: Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch (unwrapInboundIn(data), state) {
        case (.head(let head), .betweenRequests):
            begin(head, context)
        case (.end, .asked(let head, _)):
            state = .asked(head, isComplete: true)
            connection.completed()
            decideWhenReady()
        case (.end, .invalid(let refusal, _)):
            state = .invalid(refusal, isComplete: true)
        case (.end, .passing):
            state = .betweenRequests
            connection.completed()
            // The response can be complete before the request is.
            deadline = openResponses == 0 ? context.eventLoop.now + TimeAmount(mount.limits.keepAliveTimeout) : nil
            context.fireChannelRead(data)
        case (.body(let piece), .passing):
            body.received(byteCount: piece.readableBytes, now: context.eventLoop.now)
            deadline = nil
            context.fireChannelRead(data)
        case (_, .passing):
            context.fireChannelRead(data)
        case (.end, .lingering):
            context.close(promise: nil)
        default:
            // The body of a request for a WebSocket is ignored, and so is everything after a refusal.
            break
        }
    }

    private func begin(_ received: HTTPRequestHead, _ context: ChannelHandlerContext) {
        let head: HTTPRequestHead
        isHead = received.method == .HEAD
        do throws(UpgradeRefusal) {
            head = try RequestCheck.checked(received)
        } catch {
            state = .invalid(error, isComplete: false)
            decideWhenReady()
            return
        }
        connection.began(head.headers)
        mount.observer?.requested(head, from: connection.address)
        guard let others, !isForWebSocket(head) else {
            state = .asked(head, isComplete: false)
            return
        }
        deadline = nil
        openResponses += 1
        if head.version.minor == 0 { speaksHTTP10 = true }
        if speaksHTTP10 || head.headers.contains(name: "Upgrade")
            || HeaderTokens.contain("close", in: head.headers["Connection"])
        {
            closesAfterResponses = true
        }
        if !hasInstalledOthers {
            hasInstalledOthers = true
            do {
                try others.install(context.channel)
                hasNotifiedOthers = true
            } catch {
                refuse(UpgradeRefusal(.internalServerError, "The server could not set up this connection."))
                reportEnd()
                return
            }
        }
        state = .passing
        body = BodyPace(patience: TimeAmount(mount.limits.bodyTimeout))
        if openResponses == 1 { encourage(head, context) }
        context.fireChannelRead(wrapInboundOut(.head(head)))
    }

    /// Sends 100 Continue to a client that waits for it before it sends its body: RFC 9110 section 10.1.1.
    private func encourage(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        guard (head.version.major, head.version.minor) >= (1, 1),
            HeaderTokens.contain("100-continue", in: head.headers["Expect"])
        else { return }
        let interim = HTTPResponseHead(version: .http1_1, status: .continue)
        context.writeAndFlush(wrapOutboundOut(.head(interim)), promise: nil)
    }

    private func isForWebSocket(_ head: HTTPRequestHead) -> Bool {
        mount.policy.paths.contains(String(head.uri.prefix { $0 != "?" && $0 != "#" }))
    }

    // MARK: The decision

    private func decideWhenReady() {
        guard openResponses == 0, let context else { return }
        switch state {
        case .invalid(let refusal, let isComplete): refuse(refusal, lingers: !isComplete)
        case .asked(let head, isComplete: true): decide(head, context)
        default: break
        }
    }

    private func decide(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        let decision = UpgradeRequest.decide(
            head,
            policy: mount.policy,
            isSecure: pipeline.isSecure,
            isLoopback: context.channel.localAddress?.isLoopback ?? false
        )
        switch decision {
        case .refuse(let refusal): refuse(refusal)
        case .accept(let acceptance): authorize(head, acceptance, context)
        }
    }

    private func authorize(_ head: HTTPRequestHead, _ acceptance: UpgradeAcceptance, _ context: ChannelHandlerContext) {
        guard let authorize = mount.authorize else {
            return upgrade(head, acceptance, mount.makeSession, context)
        }
        state = .authorizing
        let answer = context.eventLoop.makeFutureWithTask { await authorize(head) }
        answer.assumeIsolated().whenSuccess { answer in
            guard case .authorizing = self.state, let context = self.context else { return }
            switch answer {
            case .open(let makeSession): self.upgrade(head, acceptance, makeSession, context)
            case .refuse(let refusal): self.refuse(refusal)
            }
        }
    }

    /// Takes a client slot last, when nothing else can refuse the connection any more: a refused client must not keep
    /// another one out meanwhile.
    private func upgrade(
        _ head: HTTPRequestHead,
        _ acceptance: UpgradeAcceptance,
        _ makeSession: WebSocketMount.MakeSession,
        _ context: ChannelHandlerContext
    ) {
        do throws(UpgradeRefusal) {
            let session = try makeSession(head, connection)
            if session.takesPlace {
                let clients = mount.clients
                try clients.enter(mount.policy)
                context.channel.closeFuture.whenComplete { _ in clients.leave() }
                connection.becameClient()
            }
            let webSocket = WebSocketHandler(
                role: .server,
                session: session,
                deflate: acceptance.deflate,
                isPlain: !pipeline.isSecure,
                resources: mount.resources,
                eventLoop: context.eventLoop
            )
            switchProtocols(to: webSocket, acceptance, context)
        } catch {
            refuse(error)
        }
    }

    private func switchProtocols(
        to webSocket: WebSocketHandler,
        _ acceptance: UpgradeAcceptance,
        _ context: ChannelHandlerContext
    ) {
        let head = HTTPResponseHead(version: .http1_1, status: .switchingProtocols, headers: acceptance.headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        state = .done
        if hasInstalledOthers {
            // They belong to the finished HTTP exchange; their writes end at the WebSocket handler.
            context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        }
        hasSwitched = true
        do {
            try pipeline.replace(self, with: webSocket)
        } catch {
            context.close(promise: nil)
            return
        }
        if !hasNotifiedOthers {
            hasNotifiedOthers = true
            others?.upgraded()
        }
        if holdsRead { webSocket.readAgain() }
    }

    /// Answers with the refusal and ends the connection; lingers when more of the request is still arriving.
    private func refuse(_ refusal: UpgradeRefusal, lingers: Bool = false) {
        guard let context else { return }
        state = .done
        deadline = nil
        mount.observer?.refused(refusal, from: connection.address)
        var headers = refusal.headers
        let body = ByteBuffer(string: refusal.reason + "\n")
        headers.replaceOrAdd(name: "Content-Type", value: "text/plain; charset=utf-8")
        headers.replaceOrAdd(name: "Content-Length", value: String(body.readableBytes))
        headers.replaceOrAdd(name: "Connection", value: "close")
        let head = HTTPResponseHead(version: .http1_1, status: refusal.status, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if !isHead { context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil) }
        context.writeAndFlush(wrapOutboundOut(.end(nil))).assumeIsolated().whenComplete { _ in
            if lingers { self.linger(context) } else { context.close(promise: nil) }
        }
    }

    // MARK: Responses of the HTTP server behind

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard !hasSwitched else { return context.write(data, promise: promise) }
        switch unwrapOutboundIn(data) {
        case .head(var head) where head.status.code >= 200:
            if speaksHTTP10 { head.version = .http1_0 }
            if closesAfterResponses {
                head.headers.replaceOrAdd(name: "Connection", value: "close")
            } else {
                closesAfterResponses = HeaderTokens.contain("close", in: head.headers["Connection"])
            }
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .end:
            endResponse(context, data, promise)
        default:
            context.write(data, promise: promise)
        }
    }

    private func endResponse(_ context: ChannelHandlerContext, _ data: NIOAny, _ promise: EventLoopPromise<Void>?) {
        openResponses -= 1
        if openResponses == 0 && closesAfterResponses {
            let written = promise ?? context.eventLoop.makePromise()
            written.futureResult.assumeIsolated().whenComplete { _ in self.finish(context) }
            context.write(data, promise: written)
            return
        }
        context.write(data, promise: promise)
        guard openResponses == 0 else { return }
        connection.answered()
        if case .betweenRequests = state {
            deadline = context.eventLoop.now + TimeAmount(mount.limits.keepAliveTimeout)
        } else {
            decideWhenReady()
        }
    }

    /// Ends the connection after its last response.
    private func finish(_ context: ChannelHandlerContext) {
        guard case .passing = state else { return context.close(promise: nil) }
        linger(context)
    }

    private func linger(_ context: ChannelHandlerContext) {
        state = .lingering
        deadline = context.eventLoop.now + TimeAmount(mount.limits.lingerTimeout)
        context.close(mode: .output).assumeIsolated().whenFailure { _ in context.close(promise: nil) }
        context.read()
    }

    private var isRequestIncomplete: Bool {
        switch state {
        case .passing, .asked(_, isComplete: false): true
        default: false
        }
    }

    private var isLingering: Bool { if case .lingering = state { true } else { false } }

    // MARK: The pipeline

    func channelReadComplete(context: ChannelHandlerContext) {
        if isLingering { context.read() }
        context.fireChannelReadComplete()
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        deadline = context.eventLoop.now + TimeAmount(mount.limits.handshakeTimeout)
        mount.resources.on(context.eventLoop).ticker.add(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        mount.resources.on(context.eventLoop).ticker.remove(self)
        if case .done = state {} else { end() }
        self.context = nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    private func end() {
        connection.ended()
        state = .done
        deadline = nil
        reportEnd()
    }

    /// Only if the HTTP server has not been notified of the first request.
    private func reportEnd() {
        guard !hasNotifiedOthers else { return }
        hasNotifiedOthers = true
        others?.ended()
    }

    /// While a request for a WebSocket waits, the bytes after it stay in the kernel.
    func read(context: ChannelHandlerContext) {
        switch state {
        case .asked(_, isComplete: true), .authorizing: holdsRead = true
        case .passing:
            body.wait(now: context.eventLoop.now)
            deadline = body.deadline
            context.read()
        default: context.read()
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event {
            connection.ended()
            if !hasInstalledOthers || isLingering { context.close(promise: nil) }
        }
        if event is ChannelShouldQuiesceEvent { quiesce(context) }
        context.fireUserInboundEventTriggered(event)
    }

    /// The server shuts down gracefully: a connection without a request ends at once, one with an incomplete request
    /// within the linger timeout. The HTTP server finishes a response in progress.
    private func quiesce(_ context: ChannelHandlerContext) {
        mount.resources.on(context.eventLoop).onQuiesce()
        switch state {
        case .betweenRequests where openResponses == 0:
            context.close(promise: nil)
        case .passing, .asked(_, isComplete: false):
            quiesceDeadline = context.eventLoop.now + TimeAmount(mount.limits.lingerTimeout)
        default:
            break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if hasInstalledOthers {
            context.fireErrorCaught(error)
        } else if error is HTTPParserError, case .betweenRequests = state {
            refuse(UpgradeRefusal(.badRequest, "This is not an HTTP/1.1 request."), lingers: true)
        } else {
            context.close(promise: nil)
        }
    }
}

extension HTTPUpgradeHandler: Ticker.Member {
    func tick(now: NIODeadline) {
        guard let context else { return }
        if !context.channel.isWritable,
            let waiting = try? context.channel.syncOptions?.getOption(.bufferedWritableBytes),
            response.isOver(waitingBytes: waiting, now: now)
        {
            return ConnectionReset.reset(context.channel)
        }
        if let quiesceDeadline, now >= quiesceDeadline {
            self.quiesceDeadline = nil
            if isRequestIncomplete { return context.close(promise: nil) }
        }
        guard let deadline, now >= deadline else { return }
        if hasInstalledOthers {
            context.close(promise: nil)
        } else {
            refuse(UpgradeRefusal(.requestTimeout, "No complete request came in time."))
        }
    }
}
