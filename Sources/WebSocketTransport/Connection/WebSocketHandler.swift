package import Broadcast
package import NIOCore
package import WireProtocol

/// One WebSocket connection: the only handler of its pipeline, or the one after TLS.
///
/// It moves bytes and performs the actions of the state machines: ``FrameDecoder`` and ``MessageAssembler`` for input,
/// ``OutboundQueue`` for output, ``CloseHandshake`` and ``Heartbeat`` for the end. All of it, including every method,
/// is confined to the channel's event loop. Sending is in a file of its own.
package final class WebSocketHandler: ChannelDuplexHandler, RemovableChannelHandler, OutboundConnection {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundIn = Never
    package typealias OutboundOut = ByteBuffer

    /// The socket while a frame may go directly to it: nothing is queued and the connection is not closing. The first
    /// field, so that a successful write touches only one cache line of this object.
    var express: DirectSocket?
    /// Bytes that were written and that the kernel has not taken.
    package internal(set) var queuedBytes = 0
    package let eventLoop: any EventLoop
    /// How the hub frames messages for this connection; a client connection's frames are not shared.
    package let frameEncoding: FrameEncoding
    let deflate: DeflateAgreement?
    let role: EndpointRole
    private let isPlain: Bool
    let resources: EventLoopResources

    var session: (any WebSocketSession)?
    var channel: (any NIOCore.Channel)?
    var context: ChannelHandlerContext?
    /// Nil once the channel may be closed: its descriptor could belong to another file by then.
    var direct: DirectSocket?

    var decoder: FrameDecoder
    var assembler: MessageAssembler
    var closing: CloseHandshake
    var heartbeat: Heartbeat?
    var queue = OutboundQueue()
    var isFlushing = false
    var holdsRead = false
    private var isOpened = false
    /// Whether the session can take more messages. While it is false nothing is read beyond the channel's buffer; the
    /// kernel's buffers fill up and the peer has to wait.
    package var isReading = true {
        didSet { readIfWanted() }
    }
    /// The sending half must be shut down when the queue is empty.
    var shutsWhenDrained = false
    var tickerIndex = -1

    /// `isPlain` means that no handler is between this one and the socket, so that frames may go directly to it.
    package init(
        role: EndpointRole,
        session: any WebSocketSession,
        deflate: DeflateAgreement? = nil,
        isPlain: Bool,
        resources: TransportResources,
        eventLoop: any EventLoop
    ) {
        self.role = role
        self.session = session
        self.deflate = deflate
        self.isPlain = isPlain
        self.eventLoop = eventLoop
        frameEncoding = deflate.map { resources.compressed[$0] } ?? .webSocket
        let limits = resources.limits
        let resources = resources.on(eventLoop)
        self.resources = resources
        decoder = FrameDecoder(role: role, allowsCompression: deflate != nil)
        assembler = MessageAssembler(
            maxMessageBytes: limits.maxMessageBytes,
            acceptsBinary: limits.acceptsBinary,
            inflaters: deflate == nil ? nil : resources.inflaters,
            keepsInflater: deflate.map { !$0.clientDropsContext } ?? false
        )
        closing = CloseHandshake(
            closeTimeout: TimeAmount(limits.closeTimeout),
            lingerTimeout: TimeAmount(limits.lingerTimeout)
        )
    }

    // MARK: The pipeline

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        channel = context.channel
        if context.channel.isActive { open(context) }
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        end()
        self.context = nil
        channel = nil
    }

    package func channelActive(context: ChannelHandlerContext) {
        open(context)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        end()
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        receive(unwrapInboundIn(data))
    }

    /// Reads are held back while the peer does not read.
    package func read(context: ChannelHandlerContext) {
        holdsRead = true
        readIfWanted()
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // With half-closure allowed, the peer's end appears as this event instead of an inactive channel.
        if case ChannelEvent.inputClosed = event {
            close(context: context, mode: .all, promise: nil)
        } else if event is ChannelShouldQuiesceEvent {
            resources.onQuiesce()
        }
        context.fireUserInboundEventTriggered(event)
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        close(context: context, mode: .all, promise: nil)
    }

    /// Handlers that an HTTP server left behind must not affect this connection any more.
    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }

    package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if mode == .output {
            promise?.succeed()
        } else {
            leaveSocket()
            context.close(mode: mode, promise: promise)
        }
    }

    private func open(_ context: ChannelHandlerContext) {
        guard !isOpened else { return }
        isOpened = true
        let now = eventLoop.now
        heartbeat = resources.limits.heartbeatInterval.map { Heartbeat(interval: TimeAmount($0), now: now) }
        if isPlain { direct = DirectSocket(context.channel) }
        adoptEarlierWrites(context)
        noteQueue()
        resources.ticker.add(self)
        session?.opened(self)
    }

    /// The response to the handshake may still be with the channel: nothing may overtake it.
    private func adoptEarlierWrites(_ context: ChannelHandlerContext) {
        guard let buffered = try? context.channel.syncOptions?.getOption(.bufferedWritableBytes), buffered > 0 else {
            return
        }
        queue.adopt(inFlightBytes: buffered)
        writeAndWatch(ByteBuffer(), context)
    }

    private func end() {
        guard isOpened, channel != nil else { return }
        leaveSocket()
        resources.ticker.remove(self)
        queue.dropWaiting()
        noteQueue()
        _ = closing.ended()
        reportClose()
    }
}

extension WebSocketHandler: Ticker.Member {
    func tick(now: NIODeadline) {
        if closing.isEnding {
            perform(closing.tick(now: now))
            return
        }
        // While nothing is read, the peer cannot prove that it is alive.
        if !isReading { heartbeat?.noteActivity() }
        switch heartbeat?.tick(now: now) {
        case .ping:
            ping()
        case .timeOut:
            close(.heartbeatTimeout, reason: "nothing was received within two heartbeat intervals")
        case nil:
            break
        }
    }
}

/// Receiving.
extension WebSocketHandler {
    /// Takes bytes that arrived before this handler was in the pipeline.
    package func receive(_ bytes: ByteBuffer) {
        heartbeat?.noteActivity()
        var input = bytes
        do throws(ProtocolViolation) {
            while closing.isReading, let event = try decoder.next(&input) {
                if let message = try assembler.take(event) { handle(message) }
            }
        } catch {
            perform(closing.fail(error, now: eventLoop.now))
            reportClose()
        }
    }

    /// Requests more bytes from the channel, after a previous handler has held back a read.
    func readAgain() {
        holdsRead = true
        readIfWanted()
    }

    /// Passes on a held read unless the session or the peer is behind. A closing connection always reads: otherwise the
    /// peer's part of the close handshake would be held back.
    func readIfWanted() {
        let mayRead = isReading && queue.bytes <= resources.limits.maxUnsentBytesWhileReading
        guard holdsRead, mayRead || !closing.isOpen else { return }
        holdsRead = false
        context?.read()
    }

    private func handle(_ message: InboundMessage) {
        switch message {
        case .text(let text):
            if closing.isOpen { session?.received(text: text) }
        case .binary(let binary):
            if closing.isOpen { session?.received(binary: binary) }
        case .ping(let payload):
            write(FrameEncoder.frame(.pong, payload, mask: mask()))
        case .pong:
            // The heartbeat was already updated by the received bytes; section 5.5.3 allows unsolicited pongs.
            break
        case .close(let frame):
            perform(closing.received(frame, now: eventLoop.now))
            reportClose()
        }
    }
}

/// The end of the connection, from the first close to the report to the session.
extension WebSocketHandler {
    /// Starts the close handshake. A second call does nothing.
    ///
    /// A client that is too slow (4413) or silent (4408) receives the close frame if it takes it within
    /// ``WebSocketLimits/lingerTimeout``; its queue is dropped at once.
    package func close(_ code: CloseCode, reason: String = "") {
        let isUrgent = code == .tooSlow || code == .heartbeatTimeout
        guard let action = closing.close(code, reason: reason, isUrgent: isUrgent, now: eventLoop.now) else { return }
        if isUrgent { queue.dropWaiting() }
        perform(action)
        // Deferred: the caller may be iterating over a list of connections.
        eventLoop.assumeIsolated().execute { self.reportClose() }
    }

    func perform(_ action: CloseHandshake.Action?) {
        noteQueue()
        switch action {
        case .send(let frame):
            enqueue(encoded(frame))
        case .sendAndFinish(let frame):
            shutsWhenDrained = true
            enqueue(encoded(frame))
            if queue.isEmpty { shutOutput() }
        case .finish:
            shutsWhenDrained = true
            if queue.isEmpty { shutOutput() }
        case .abort:
            abort()
        case nil:
            break
        }
        readIfWanted()
    }

    private func encoded(_ frame: CloseFrame) -> ByteBuffer {
        FrameEncoder.frame(.close, frame.payload, mask: mask())
    }

    func shutOutput() {
        guard shutsWhenDrained else { return }
        shutsWhenDrained = false
        context?.close(mode: .output, promise: nil)
    }

    private func abort() {
        guard let channel else { return }
        leaveSocket()
        ConnectionReset.reset(channel)
    }

    /// The channel is about to be closed, or has been: nothing may be sent on its descriptor any more.
    func leaveSocket() {
        direct = nil
        express = nil
    }

    func reportClose() {
        guard let status = closing.status, let session else { return }
        self.session = nil
        session.closed(status)
    }
}
