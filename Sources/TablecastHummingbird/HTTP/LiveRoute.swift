import HTTPTypes
import Hummingbird
import NIOCore
import NIOHTTP1
import NIOPosix
import Tablecast
import WebSocketTransport
import WireProtocol

/// `GET /live` and `POST /live`: the rows of one query, then the changes of every commit, as Server-Sent Events or as
/// one message per line.
struct LiveRoute {
    let service: TablecastService
    private var server: WebSocketServer { service.server }

    init(service: TablecastService) { self.service = service }

    /// Answers a HEAD request with the head of the stream, without opening it.
    func respond(to request: Request, from identity: Identity) async throws -> Response {
        var request = request
        let isStream = request.method != .post
        let query: LiveQueryRequest
        do throws(ProtocolError) {
            if isStream {
                let address = AddressQuery(of: request.uri.string)
                let since = try address.value("since")
                // A reconnecting browser sends its position, which is newer than the one in the address.
                let resumed = (request.headers[.lastEventID] ?? since).map(ResumePoint.parts)
                query = try LiveQueryRequest(
                    sql: address.value("sql"),
                    params: address.value("params"),
                    key: address.value("key"),
                    since: resumed?.position,
                    resumes: resumed?.subscriptions?.first
                )
            } else {
                query = try await Self.query(
                    from: &request,
                    maxBodyBytes: server.configuration.limits.http.maxLiveBodyBytes
                )
            }
        } catch {
            return .failure(error)
        }
        let headers = isStream ? EventsRoute.headers : Self.lineHeaders
        guard request.method != .head else { return Response(status: .ok, headers: headers) }
        let address = ClientConnection.current?.address
        do throws(UpgradeRefusal) {
            try server.checkConnections(of: identity, from: address)
            try server.mount.clients.enter(server.mount.policy)
        } catch {
            return .refusedConnection(error)
        }
        ClientConnection.current?.becameClient()
        let pipe = ResponsePipe()
        let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        let (service, server) = (service, server)
        let keepAliveInterval = TimeAmount(server.configuration.limits.http.keepAliveInterval)
        let refusal: ProtocolError? = await withCheckedContinuation { continuation in
            eventLoop.execute {
                let stream = EventStream(
                    server: server,
                    pipe: pipe,
                    identity: identity,
                    address: address,
                    frameEncoding: isStream ? EventStream.serverSentEventsOfLiveQuery() : EventStream.lines,
                    eventLoop: eventLoop
                )
                stream.open(query, of: service, keepAliveInterval: isStream ? keepAliveInterval : nil) {
                    continuation.resume(returning: $0)
                }
            }
        }
        if let refusal {
            eventLoop.execute { pipe.cancel() }
            return .failure(refusal)
        }
        return Response(status: .ok, headers: headers, body: pipe.body(of: request))
    }

    private static func query(
        from request: inout Request,
        maxBodyBytes: Int
    ) async throws(ProtocolError) -> LiveQueryRequest {
        let body: ByteBuffer
        do {
            body = try await request.body(upTo: maxBodyBytes)
        } catch {
            throw ProtocolError(.tooBig, "the body: expected at most \(maxBodyBytes) bytes, all of them")
        }
        return try LiveQueryRequest(parsing: body.readableBytesView)
    }

    private static let lineHeaders: HTTPFields = [
        .contentType: "application/x-ndjson", .cacheControl: "no-store",
    ]
}
