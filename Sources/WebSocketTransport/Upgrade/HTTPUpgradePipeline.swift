import NIOCore
import NIOHTTP1

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
