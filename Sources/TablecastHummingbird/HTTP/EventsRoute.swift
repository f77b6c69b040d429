import Broadcast
import HTTPTypes
import Hummingbird
import NIOCore
import NIOPosix
import Tablecast
import WireProtocol

/// `GET /events`: the same messages as on the WebSocket, as Server-Sent Events, so that `curl -N` shows live changes.
struct EventsRoute {
    /// Between comments that keep proxies from ending a silent connection.
    static let keepAliveInterval = TimeAmount.seconds(15)

    let service: TablecastService
    private var server: WebSocketServer { service.server }

    init(service: TablecastService) { self.service = service }

    /// To a HEAD request what the stream would begin with, without opening it.
    func respond(to request: Request, from identity: Identity) async throws -> Response {
        let query = request.uri.queryParameters
        func value(_ name: String) -> String? { query[Substring(name)].map(String.init) }
        let requests: [SubscribeRequest]
        do throws(ProtocolError) {
            requests = try SubscribeRequest.parse(
                channels: value("channels") ?? Channel.tables.rawValue,
                tables: value("tables"),
                operations: value("operations"),
                rows: value("rows"),
                // A browser that comes back says where it was; that is newer than what its address says.
                since: request.headers[.lastEventID] ?? value("since")
            ).map { request throws(ProtocolError) in try identity.narrowed(request) }
        } catch  where error.code == .forbidden {
            return .failure(error)
        } catch {
            return .failure(.badRequest, error.code, error.message)
        }
        guard request.method != .head else { return Response(status: .ok, headers: Self.headers) }
        guard server.hub.statistics.clients < server.configuration.maxConnections else {
            var response = Response.failure(.serviceUnavailable, .rateLimited, "the connection limit is reached")
            response.headers[.retryAfter] = "5"
            return response
        }
        for request in requests { service.subscribes(request) }
        let pipe = ResponsePipe()
        let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        let hub = server.hub
        let opened = try await eventLoop.submit {
            Result { () throws(ProtocolError) in
                try EventStream(hub: hub, pipe: pipe, identity: identity, eventLoop: eventLoop)
                    .open(requests, keepAliveInterval: Self.keepAliveInterval)
            }
        }.get()
        if case .failure(let error) = opened {
            return .failure(error)
        }
        return Response(status: .ok, headers: Self.headers, body: pipe.body(of: request))
    }

    private static let headers: HTTPFields = [
        .contentType: "text/event-stream; charset=utf-8",
        .cacheControl: "no-store",
        // Proxies that buffer responses would hold the events back.
        .accelBuffering: "no",
    ]
}

extension HTTPField.Name {
    // These names are tokens of RFC 9110, so the initialiser does not fail.
    fileprivate static let lastEventID = HTTPField.Name("Last-Event-ID") ?? .ifMatch
    fileprivate static let accelBuffering = HTTPField.Name("X-Accel-Buffering") ?? .cacheControl
}
