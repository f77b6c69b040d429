package import NIOCore
package import NIOHTTP1

/// The HTTP/1 handlers of a connection that may become a WebSocket, and how they go when it does.
struct HTTPUpgradePipeline {
    let isSecure: Bool
    private let channel: any Channel
    private let encoder = HTTPResponseEncoder()
    /// What follows the request is not HTTP any more: it must come to the next handler, not be dropped.
    private let decoder: ByteToMessageHandler<HTTPRequestDecoder>

    /// Adds the handlers to the end of the pipeline.
    init(channel: any Channel, isSecure: Bool) throws {
        self.channel = channel
        self.isSecure = isSecure
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = 16 << 10
        limits.maxHeaderListSize = 64 << 10
        decoder = ByteToMessageHandler(
            HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes, limitConfiguration: limits)
        )
        try ReadAllocator.install(on: channel)
        try channel.pipeline.syncOperations.addHandlers([encoder, decoder])
    }

    func add(_ handler: HTTPUpgradeHandler) throws {
        try channel.pipeline.syncOperations.addHandler(handler)
    }

    /// Puts `webSocket` in the place of `upgrader` and takes HTTP out of the pipeline.
    ///
    /// All of it within one turn of the event loop, except that the decoder leaves in the next one, and first passes on
    /// what it had read behind the request: by then its neighbour is `webSocket`, so no byte is lost or overtaken.
    func replace(_ upgrader: HTTPUpgradeHandler, with webSocket: WebSocketHandler) throws {
        let pipeline = channel.pipeline.syncOperations
        // An HTTP server may have allowed it; a WebSocket whose peer has gone is over.
        try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: false)
        _ = pipeline.removeHandler(decoder)
        _ = pipeline.removeHandler(encoder)
        try pipeline.addHandler(webSocket, position: .after(upgrader))
        _ = pipeline.removeHandler(upgrader)
    }
}

/// A WebSocket service as it is mounted in HTTP servers: who may connect, and what a connection does.
///
/// One value for all connections of a server; they share its count and its timers.
package struct WebSocketMount: Sendable {
    /// Makes what stands above a new connection, on its event loop; or refuses, for example with 401.
    package typealias MakeSession =
        @Sendable (_ request: HTTPRequestHead, _ connection: ClientConnection) throws(UpgradeRefusal) ->
        any WebSocketSession

    /// A decision that takes time, such as a look at a token elsewhere. The connection reads nothing meanwhile.
    package typealias Authorize = @Sendable (_ request: HTTPRequestHead) async -> Authorization

    package enum Authorization: Sendable {
        case open(MakeSession)
        case refuse(UpgradeRefusal)
    }

    package var policy: UpgradePolicy
    package var limits: WebSocketLimits { resources.limits }
    /// Decides, if given, in the place of ``makeSession``.
    package var authorize: Authorize?
    package var makeSession: MakeSession
    /// The WebSockets, and what an application counts with them.
    package let clients = ClientCount()
    /// All connections, whatever becomes of them.
    package let admission: ConnectionAdmission
    let observer: (any TransportObserver)?
    let resources: TransportResources

    /// - Parameter onQuiesce: called on an event loop, once for each connection, when the HTTP server that owns the
    ///   connections begins a graceful shutdown (NIO's `ChannelShouldQuiesceEvent`).
    package init(
        policy: UpgradePolicy = UpgradePolicy(),
        limits: WebSocketLimits = WebSocketLimits(),
        admission: ConnectionAdmission = ConnectionAdmission(maxPending: 256, maxUnknownPerAddress: 256),
        authorize: Authorize? = nil,
        observer: (any TransportObserver)? = nil,
        onQuiesce: @escaping @Sendable () -> Void = {},
        makeSession: @escaping MakeSession
    ) {
        self.policy = policy
        self.admission = admission
        self.authorize = authorize
        self.observer = observer
        self.makeSession = makeSession
        resources = TransportResources(limits: limits, onQuiesce: onQuiesce)
    }

    /// Sets up a connection that serves this WebSocket alone: plain SwiftNIO, in a child channel's initializer. Every
    /// other request is refused in plain HTTP.
    ///
    /// `isSecure` says that a TLS handler stands in the pipeline already.
    package func configure(_ channel: any Channel, isSecure: Bool) throws {
        guard let connection = admit(channel) else { return channel.close(promise: nil) }
        let pipeline = try HTTPUpgradePipeline(channel: channel, isSecure: isSecure)
        try pipeline.add(HTTPUpgradeHandler(mount: self, pipeline: pipeline, others: nil, connection: connection))
    }

    /// Sets up a connection that serves this WebSocket and, for every other request, whatever `others` adds to the end
    /// of the pipeline.
    ///
    /// `others` runs on the event loop when the first such request has arrived, before it is passed on: handlers that
    /// take `HTTPServerRequestPart`. A connection that begins with the WebSocket never pays for them.
    ///
    /// The result tells what the first request was; do not wait for it in a child channel's initializer, since nothing is read
    ///   before that has ended. It fails when the connection ends without a request or with a refusal.
    package func configure<Others: Sendable>(
        _ channel: any Channel,
        isSecure: Bool,
        others: @escaping (any Channel) throws -> Others
    ) throws -> EventLoopFuture<FirstRequest<Others>> {
        guard let connection = admit(channel) else {
            channel.close(promise: nil)
            return channel.eventLoop.makeFailedFuture(ChannelError.ioOnClosedChannel)
        }
        let promise = channel.eventLoop.makePromise(of: FirstRequest<Others>.self)
        let pipeline = try HTTPUpgradePipeline(channel: channel, isSecure: isSecure)
        let otherRequests = HTTPUpgradeHandler.Others(
            install: { promise.succeed(.http(try others($0), connection)) },
            upgraded: { promise.succeed(.webSocket) },
            ended: { promise.fail(ChannelError.ioOnClosedChannel) }
        )
        try pipeline.add(
            HTTPUpgradeHandler(mount: self, pipeline: pipeline, others: otherRequests, connection: connection)
        )
        return promise.futureResult
    }

    private func admit(_ channel: any Channel) -> ClientConnection? {
        let address = channel.remoteAddress.flatMap { ClientAddress($0) }
        let connection = admission.admit(channel)
        if connection == nil { observer?.turnedAway(from: address) } else { observer?.accepted(from: address) }
        return connection
    }
}

/// What a connection turned out to be for.
package enum FirstRequest<Others: Sendable>: Sendable {
    /// A WebSocket; there is nothing more to do for the HTTP server.
    case webSocket
    /// HTTP. A later request on the same connection can still become a WebSocket: then the handlers behind see the end
    /// of the input, and what they write or half-close afterwards has no effect.
    case http(Others, ClientConnection)
}
