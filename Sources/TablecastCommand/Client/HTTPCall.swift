import NIOCore
import NIOHTTP1
import NIOPosix
import TablecastClient
import WireProtocol

extension ServerConnection {
    /// The largest accepted response: the description of a table, or a list of tables.
    private static let maxAnswerBytes = 64 << 20
    private static let callTimeout = TimeAmount.seconds(30)

    /// Sends a GET request to the server, and returns the body of its response.
    ///
    /// - Parameter path: relative to the base address of the server's routes, beside the WebSocket: `/tables`.
    /// - Throws: Only ``CommandFailure``, including for an error response.
    func get(_ path: String) async throws -> [UInt8] { try await call(.GET, path) }

    /// The same as a POST request, with a JSON body or none.
    func post(_ path: String, body: [UInt8]? = nil) async throws -> [UInt8] { try await call(.POST, path, body: body) }

    private func call(_ method: HTTPMethod, _ path: String, body: [UInt8]? = nil) async throws -> [UInt8] {
        let answer: HTTPAnswer
        do {
            answer = try await exchange(method, path, body: body)
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw failure(error)
        }
        guard (200..<300).contains(answer.status) else { throw refusal(answer) }
        return answer.body
    }

    private func exchange(_ method: HTTPMethod, _ path: String, body: [UInt8]?) async throws -> HTTPAnswer {
        let group = MultiThreadedEventLoopGroup.singleton
        let eventLoop = group.next()
        let promise = eventLoop.makePromise(of: HTTPAnswer.self)
        let (host, isSecure, insecure) = (address.host, address.isSecure, options.insecure)
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(.seconds(10))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if isSecure {
                        try pipeline.addHandler(ClientTLS(acceptsAnyCertificate: insecure).handler(host: host))
                    }
                    try pipeline.addHTTPClientHandlers()
                    try pipeline.addHandler(HTTPAnswerCollector(promise, maxBytes: Self.maxAnswerBytes))
                }
            }
        let channel: any NIOCore.Channel
        do {
            channel = try await bootstrap.connect(host: host, port: address.port).get()
        } catch {
            promise.fail(error)
            throw error
        }
        let timeout = eventLoop.scheduleTask(in: Self.callTimeout) { promise.fail(CallError.timedOut) }
        defer {
            timeout.cancel()
            channel.close(promise: nil)
        }
        var head = HTTPRequestHead(version: .http1_1, method: method, uri: address.base + path)
        head.headers.add(name: "Host", value: address.authority)
        head.headers.add(name: "Connection", value: "close")
        head.headers.add(name: "Content-Length", value: "\(body?.count ?? 0)")
        if body != nil { head.headers.add(name: "Content-Type", value: "application/json") }
        if let token = options.bearerToken { head.headers.add(name: "Authorization", value: "Bearer \(token)") }
        channel.write(HTTPClientRequestPart.head(head), promise: nil)
        if let body { channel.write(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: body))), promise: nil) }
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
        return try await promise.futureResult.get()
    }

    /// The failure for an error response, with the server's message if there is one.
    private func refusal(_ answer: HTTPAnswer) -> CommandFailure {
        var message = "the server responded with status \(answer.status)"
        var code: ErrorCode?
        if case .object(let fields)? = try? JSONValue(parsing: answer.body), case .string(let error)? = fields["error"]
        {
            // A response that is not JSON comes from another server; only its status is reported.
            message = error
            if case .string(let text)? = fields["code"] {
                code = ErrorCode(rawValue: text)
                message += " (\(text))"
            }
        }
        switch answer.status {
        case 401:
            return CommandFailure(
                .noPermission,
                "\(address): \(message)",
                advice: "Set a valid token with TABLECAST_TOKEN or --token."
            )
        case 403: return CommandFailure(.noPermission, message)
        case let status where TablecastClientError.transientStatuses.contains(status):
            return CommandFailure(.unavailable, "\(address): \(message)")
        default: return CommandFailure(ExitReason(code), message)
        }
    }
}

extension ServerAddress {
    /// The base address of the server's routes, beside the WebSocket.
    var base: String {
        let path = path.prefix { $0 != "?" }
        return String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
    }

    /// The value of the header `Host`.
    var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == (isSecure ? 443 : 80) ? name : "\(name):\(port)"
    }
}

private enum CallError: Error, CustomStringConvertible {
    case timedOut
    case ended
    case tooLong

    var description: String {
        switch self {
        case .timedOut: "the response timed out"
        case .ended: "the connection closed before the response"
        case .tooLong: "the response is too long"
        }
    }
}

private struct HTTPAnswer: Sendable {
    var status: Int
    var body: [UInt8]
}

/// Assembles the parts of one response. Confined to the channel's event loop.
private final class HTTPAnswerCollector: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    private let promise: EventLoopPromise<HTTPAnswer>
    private let maxBytes: Int
    private var answer = HTTPAnswer(status: 0, body: [])

    init(_ promise: EventLoopPromise<HTTPAnswer>, maxBytes: Int) {
        self.promise = promise
        self.maxBytes = maxBytes
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): answer.status = Int(head.status.code)
        case .body(let buffer):
            guard answer.body.count + buffer.readableBytes <= maxBytes else { return promise.fail(CallError.tooLong) }
            answer.body += buffer.readableBytesView
        case .end: promise.succeed(answer)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        promise.fail(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { promise.fail(CallError.ended) }
}
