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

    private let mount: WebSocketMount
    private let pipeline: HTTPUpgradePipeline
    private let others: Others?
    private let connection: ClientConnection
    private var machine: UpgradeStateMachine
    private var context: ChannelHandlerContext?
    private var hasNotifiedOthers = false
    private var response: ResponseStall
    var tickerIndex = -1

    init(mount: WebSocketMount, pipeline: HTTPUpgradePipeline, others: Others?, connection: ClientConnection) {
        self.mount = mount
        self.connection = connection
        self.pipeline = pipeline
        self.others = others
        machine = UpgradeStateMachine(timeouts: UpgradeStateMachine.Timeouts(mount.limits))
        response = ResponseStall(patience: TimeAmount(mount.limits.responseTimeout))
    }

    // MARK: Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let now = context.eventLoop.now
        switch unwrapInboundIn(data) {
        case .head(let head):
            if machine.expectsHead { begin(head, context) }
        case .body(let piece):
            if machine.receivedBody(byteCount: piece.readableBytes, now: now) { context.fireChannelRead(data) }
        case .end:
            switch machine.receivedEnd(now: now) {
            case .ignore: break
            case .pass:
                connection.completed()
                context.fireChannelRead(data)
            case .complete(let answer):
                connection.completed()
                perform(answer, context)
            case .close: context.close(promise: nil)
            }
        }
    }

    private func begin(_ received: HTTPRequestHead, _ context: ChannelHandlerContext) {
        let head: HTTPRequestHead
        do throws(UpgradeRefusal) {
            head = try RequestCheck.checked(received)
        } catch {
            perform(machine.receivedInvalidHead(error, isHead: received.method == .HEAD), context)
            return
        }
        connection.began(head.headers)
        mount.observer?.requested(head, from: connection.address)
        switch machine.receivedHead(head, isForWebSocket: others == nil || isForWebSocket(head)) {
        case .wait: break
        case .pass(let isFirst, let expectsContinue):
            if isFirst, !installOthers(context) { return }
            if expectsContinue {
                let interim = HTTPResponseHead(version: .http1_1, status: .continue)
                context.writeAndFlush(wrapOutboundOut(.head(interim)), promise: nil)
            }
            context.fireChannelRead(wrapInboundOut(.head(head)))
        }
    }

    /// False when it failed, and the connection ends.
    private func installOthers(_ context: ChannelHandlerContext) -> Bool {
        do {
            try others?.install(context.channel)
            hasNotifiedOthers = true
            return true
        } catch {
            refuse(UpgradeRefusal(.internalServerError, "The server could not set up this connection."))
            reportEnd()
            return false
        }
    }

    private func isForWebSocket(_ head: HTTPRequestHead) -> Bool {
        mount.policy.paths.contains(String(head.uri.prefix { $0 != "?" && $0 != "#" }))
    }

    // MARK: The decision

    private func perform(_ answer: UpgradeStateMachine.Answer?, _ context: ChannelHandlerContext) {
        switch answer {
        case nil: break
        case .refuse(let refusal, let lingers): refuse(refusal, lingers: lingers)
        case .decide(let head): decide(head, context)
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
        machine.authorize()
        let answer = context.eventLoop.makeFutureWithTask { await authorize(head) }
        answer.assumeIsolated().whenSuccess { answer in
            guard self.machine.isAuthorizing, let context = self.context else { return }
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
        if machine.hasPassedRequest {
            // They belong to the finished HTTP exchange; their writes end at the WebSocket handler.
            context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        }
        machine.switchProtocols()
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
        if machine.holdsRead { webSocket.readAgain() }
    }

    /// Answers with the refusal and ends the connection; lingers when more of the request is still arriving.
    private func refuse(_ refusal: UpgradeRefusal, lingers: Bool = false) {
        guard let context else { return }
        machine.refuse()
        mount.observer?.refused(refusal, from: connection.address)
        var headers = refusal.headers
        let body = ByteBuffer(string: refusal.reason + "\n")
        headers.replaceOrAdd(name: "Content-Type", value: "text/plain; charset=utf-8")
        headers.replaceOrAdd(name: "Content-Length", value: String(body.readableBytes))
        headers.replaceOrAdd(name: "Connection", value: "close")
        let head = HTTPResponseHead(version: .http1_1, status: refusal.status, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if !machine.isHead { context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil) }
        context.writeAndFlush(wrapOutboundOut(.end(nil))).assumeIsolated().whenComplete { _ in
            if lingers { self.linger(context) } else { context.close(promise: nil) }
        }
    }

    // MARK: Responses of the HTTP server behind

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard !machine.hasSwitched else { return context.write(data, promise: promise) }
        switch unwrapOutboundIn(data) {
        case .head(var head) where head.status.code >= 200:
            machine.sendHead(&head)
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .end:
            endResponse(context, data, promise)
        default:
            context.write(data, promise: promise)
        }
    }

    private func endResponse(_ context: ChannelHandlerContext, _ data: NIOAny, _ promise: EventLoopPromise<Void>?) {
        let end = machine.sendEnd(now: context.eventLoop.now)
        guard end != .closes else {
            let written = promise ?? context.eventLoop.makePromise()
            written.futureResult.assumeIsolated().whenComplete { _ in
                if self.machine.mustLinger { self.linger(context) } else { context.close(promise: nil) }
            }
            return context.write(data, promise: written)
        }
        context.write(data, promise: promise)
        guard case .answered(let answer) = end else { return }
        connection.answered()
        perform(answer, context)
    }

    private func linger(_ context: ChannelHandlerContext) {
        machine.linger(now: context.eventLoop.now)
        context.close(mode: .output).assumeIsolated().whenFailure { _ in context.close(promise: nil) }
        context.read()
    }

    // MARK: The pipeline

    func channelReadComplete(context: ChannelHandlerContext) {
        if machine.isLingering { context.read() }
        context.fireChannelReadComplete()
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        machine.begin(now: context.eventLoop.now)
        mount.resources.on(context.eventLoop).ticker.add(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        mount.resources.on(context.eventLoop).ticker.remove(self)
        if !machine.isDone { end() }
        self.context = nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    private func end() {
        connection.ended()
        machine.end()
        reportEnd()
    }

    /// Only if the HTTP server has not been notified of the first request.
    private func reportEnd() {
        guard !hasNotifiedOthers else { return }
        hasNotifiedOthers = true
        others?.ended()
    }

    func read(context: ChannelHandlerContext) {
        if machine.mayRead(now: context.eventLoop.now) { context.read() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event {
            connection.ended()
            if !machine.hasPassedRequest || machine.isLingering { context.close(promise: nil) }
        }
        if event is ChannelShouldQuiesceEvent {
            mount.resources.on(context.eventLoop).onQuiesce()
            if machine.quiesce(now: context.eventLoop.now) { context.close(promise: nil) }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if machine.hasPassedRequest {
            context.fireErrorCaught(error)
        } else if let error = error as? HTTPParserError, machine.expectsHead {
            refuse(UpgradeRefusal(parsing: error), lingers: true)
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
        switch machine.checkTime(now: now) {
        case nil: break
        case .close: context.close(promise: nil)
        case .refuse: refuse(UpgradeRefusal(.requestTimeout, "No complete request came in time."))
        }
    }
}

extension UpgradeStateMachine.Timeouts {
    fileprivate init(_ limits: WebSocketLimits) {
        self.init(
            handshake: TimeAmount(limits.handshakeTimeout),
            keepAlive: TimeAmount(limits.keepAliveTimeout),
            body: TimeAmount(limits.bodyTimeout),
            linger: TimeAmount(limits.lingerTimeout)
        )
    }
}
