package import NIOCore
package import NIOHTTP1

/// The HTTP/1 handlers of a connection that may become a WebSocket, and their removal when it does.
struct HTTPUpgradePipeline {
    let isSecure: Bool
    private let channel: any Channel
    private let encoder = HTTPResponseEncoder()
    /// The bytes after the request are not HTTP any more: they must be passed to the next handler, not dropped.
    private let decoder: ByteToMessageHandler<HTTPRequestDecoder>

    /// Adds the handlers to the end of the pipeline.
    init(channel: any Channel, isSecure: Bool) throws {
        self.channel = channel
        self.isSecure = isSecure
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = RequestCheck.maxHeaderBytes
        limits.maxHeaderListSize = RequestCheck.maxHeaderListBytes
        decoder = ByteToMessageHandler(
            HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes, limitConfiguration: limits)
        )
        try ReadAllocator.install(on: channel)
        try channel.pipeline.syncOperations.addHandlers([encoder, decoder])
    }

    func add(_ handler: HTTPUpgradeHandler) throws {
        try channel.pipeline.syncOperations.addHandler(handler)
    }

    /// Replaces `upgrader` by `webSocket` and removes HTTP from the pipeline.
    ///
    /// This happens within one turn of the event loop, except that the decoder leaves in the next one, after it has
    /// passed on the bytes that it read after the request: by then its neighbour is `webSocket`, so no byte is lost or
    /// overtaken.
    func replace(_ upgrader: HTTPUpgradeHandler, with webSocket: WebSocketHandler) throws {
        let pipeline = channel.pipeline.syncOperations
        // An HTTP server may have allowed it; a WebSocket whose peer has disconnected is over.
        try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: false)
        _ = pipeline.removeHandler(decoder)
        _ = pipeline.removeHandler(encoder)
        try pipeline.addHandler(webSocket, position: .after(upgrader))
        _ = pipeline.removeHandler(upgrader)
    }
}

/// A WebSocket service that HTTP servers mount: the conditions for connecting, and the sessions.
///
/// One value for all connections of a server; they share its counters and its timers.
package struct WebSocketMount: Sendable {
    /// Creates the session of a new connection, on its event loop; or throws a refusal, for example with 401.
    package typealias MakeSession =
        @Sendable (_ request: HTTPRequestHead, _ connection: ClientConnection) throws(UpgradeRefusal) ->
        any WebSocketSession

    /// A decision that takes time, such as an external token check. The connection reads nothing meanwhile.
    package typealias Authorize = @Sendable (_ request: HTTPRequestHead) async -> Authorization

    package enum Authorization: Sendable {
        case open(MakeSession)
        case refuse(UpgradeRefusal)
    }

    package var policy: UpgradePolicy
    package var limits: WebSocketLimits { resources.limits }
    /// If set, decides in place of ``makeSession``.
    package var authorize: Authorize?
    package var makeSession: MakeSession
    /// The WebSockets, and other clients that an application counts with them.
    package let clients = ClientCount()
    /// All connections, whatever they become.
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

    /// Configures a connection that serves only this WebSocket: plain SwiftNIO, in a child channel's initializer. Every
    /// other request is refused with an HTTP response.
    ///
    /// `isSecure`: a TLS handler is already in the pipeline.
    package func configure(_ channel: any Channel, isSecure: Bool) throws {
        guard let connection = admit(channel) else { return channel.close(promise: nil) }
        let pipeline = try HTTPUpgradePipeline(channel: channel, isSecure: isSecure)
        try pipeline.add(HTTPUpgradeHandler(mount: self, pipeline: pipeline, others: nil, connection: connection))
    }

    /// Configures a connection that serves this WebSocket and, for every other request, the handlers that `others` adds
    /// to the end of the pipeline.
    ///
    /// `others` runs on the event loop when the first such request has arrived, before it is passed on: handlers that
    /// take `HTTPServerRequestPart`. A connection that begins with the WebSocket never pays for them.
    ///
    /// The result reports the kind of the first request; do not wait for it in a child channel's initializer, since
    /// nothing is read before that has ended. It fails when the connection ends without a request or with a refusal.
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

/// The kind of a connection's first request.
package enum FirstRequest<Others: Sendable>: Sendable {
    /// A WebSocket; the HTTP server has nothing more to do.
    case webSocket
    /// HTTP. A later request on the same connection can still become a WebSocket: then the handlers see the end of the
    /// input, and their later writes and half-closures have no effect.
    case http(Others, ClientConnection)
}

/// Receives events of connections before they are clients. Called on event loops; must not block.
package protocol TransportObserver: Sendable {
    /// A connection was accepted; `address` is nil for one without an IP address.
    func accepted(from address: ClientAddress?)
    /// A connection was closed at once, because its address or the server has too many connections without a token.
    func turnedAway(from address: ClientAddress?)
    /// The head of a request has arrived.
    func requested(_ head: HTTPRequestHead, from address: ClientAddress?)
    /// A request was refused before it became a WebSocket or an HTTP request of the application.
    func refused(_ refusal: UpgradeRefusal, from address: ClientAddress?)
}
