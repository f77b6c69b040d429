package import Broadcast
package import NIOCore
import WireProtocol

/// One WebSocket connection: the only handler of its pipeline, or the one behind TLS.
///
/// It moves bytes and acts on what the state machines decide: ``FrameDecoder`` and ``MessageAssembler`` for what comes
/// in, ``OutboundQueue`` for what goes out, ``CloseHandshake`` and ``Heartbeat`` for the end. All of it, and every method,
/// belongs to the channel's event loop. Sending, receiving and the end are in files of their own.
package final class WebSocketHandler: ChannelDuplexHandler, RemovableChannelHandler, Outlet {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundIn = Never
    package typealias OutboundOut = ByteBuffer

    /// The socket while a frame may go straight to it: nothing is queued and the connection is not closing. First among
    /// the fields, so that a write that succeeds touches one cache line of this object and nothing else.
    var express: DirectSocket?
    /// Bytes that have been written and the kernel has not taken.
    package internal(set) var queuedBytes = 0
    package let eventLoop: any EventLoop
    /// How the hub frames messages for this connection; a client's are not for sharing.
    package let representation: Representation
    let deflate: DeflateAgreement?
    let role: Role
    private let isPlain: Bool
    let resources: EventLoopResources

    var session: (any WebSocketSession)?
    var channel: (any NIOCore.Channel)?
    var context: ChannelHandlerContext?
    /// Nil from the moment that the channel may be closed: its descriptor could belong to somebody else by then.
    var direct: DirectSocket?

    var decoder: FrameDecoder
    var assembler: MessageAssembler
    var closing: CloseHandshake
    var heartbeat: Heartbeat?
    var queue = OutboundQueue()
    var isFlushing = false
    var holdsRead = false
    private var isOpened = false
    /// Whether the session can take more. While it is false nothing is read beyond what is in the channel's buffer;
    /// the kernel's buffers fill up and the peer has to wait.
    package var isReading = true {
        didSet { readIfWanted() }
    }
    /// The sending half is to be shut when the queue is empty.
    var shutsWhenDrained = false
    var tickerIndex = -1

    /// `isPlain` says that nothing stands between this handler and the socket, so that frames may go straight to it.
    package init(
        role: Role,
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
        representation = deflate.map { resources.compressed[$0] } ?? .webSocket
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
        closing = CloseHandshake(closeTimeout: limits.closeTimeout, lingerTimeout: limits.lingerTimeout)
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

    /// Reads are held back while the peer does not take what it is sent.
    package func read(context: ChannelHandlerContext) {
        holdsRead = true
        readIfWanted()
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // With half-closure allowed, the peer's end shows as this event instead of an inactive channel.
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

    /// Handlers that an HTTP server left behind have no say in this connection any more.
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
        heartbeat = resources.limits.heartbeatInterval.map { Heartbeat(interval: $0, now: now) }
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
        // A peer that we do not listen to cannot be heard.
        if !isReading { heartbeat?.heard() }
        switch heartbeat?.tick(now: now) {
        case .ping:
            ping()
        case .timeOut:
            close(.heartbeatTimeout, reason: "nothing was heard within two heartbeat intervals")
        case nil:
            break
        }
    }
}
