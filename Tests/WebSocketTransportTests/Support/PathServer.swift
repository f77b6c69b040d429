import NIOCore
import NIOHTTP1
import NIOPosix

@testable import WebSocketTransport

/// An HTTP server that answers every request with its path; `/slow` takes a few turns of the event loop, `/large`
/// returns more than a socket takes at once, and `/refused` is refused before its body has arrived.
final class PathServer: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart
    private var uri = ""

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            uri = head.uri
            if uri == "/refused" { refuse(context) }
        case .body: break
        case .end where uri == "/refused": break
        case .end: answer(uri, context, afterTurns: uri == "/slow" ? 10 : 0)
        }
    }

    private func refuse(_ context: ChannelHandlerContext) {
        let headers: HTTPHeaders = ["Content-Length": String(uri.utf8.count), "Connection": "close"]
        let head = HTTPResponseHead(version: .http1_1, status: .payloadTooLarge, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: uri)))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    private func answer(_ uri: String, _ context: ChannelHandlerContext, afterTurns turns: Int) {
        guard turns == 0 else {
            context.eventLoop.assumeIsolated().execute { self.answer(uri, context, afterTurns: turns - 1) }
            return
        }
        let body = ByteBuffer(string: uri == "/large" ? String(repeating: uri, count: 4 << 20) : uri)
        let headers: HTTPHeaders = ["Content-Length": String(body.readableBytes)]
        context.write(
            wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .ok, headers: headers))),
            promise: nil
        )
        context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }
}

extension TestServer {
    /// A server with ``PathServer`` beside the WebSocket, on channels that allow half-closure, as Hummingbird's do.
    static func withHTTP<Result>(
        _ mount: WebSocketMount,
        _ body: (TestServer) async throws -> Result
    ) async throws -> Result {
        try await with(mount, body) { channel in
            try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
            _ = try mount.configure(channel, isSecure: false) { channel in
                try channel.pipeline.syncOperations.addHandler(PathServer())
            }
        }
    }
}
