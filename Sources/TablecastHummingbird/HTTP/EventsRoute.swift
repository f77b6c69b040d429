import Broadcast
import HTTPTypes
import Hummingbird
import NIOCore
import NIOHTTP1
import NIOPosix
import Tablecast
import WebSocketTransport
import WireProtocol

/// `GET /events`: the same messages as on the WebSocket, as Server-Sent Events, so that `curl -N` shows live changes.
struct EventsRoute {
    let server: WebSocketServer

    /// Answers a HEAD request with the head of the stream, without opening it.
    func respond(to request: Request, from identity: Identity) async throws -> Response {
        let query = AddressQuery(of: request.uri.string)
        let requests: [SubscribeRequest]
        do throws(ProtocolError) {
            let channels = try query.value("channels")
            let since = try query.value("since")
            // A reconnecting browser sends its position, which is newer than the one in the address.
            let resumed = (request.headers[.lastEventID] ?? since).map(ResumePoint.parts)
            requests = try SubscribeRequest.parse(
                channels: channels ?? MessageChannel.tables.rawValue,
                tables: query.value("tables"),
                operations: query.value("operations"),
                rows: query.value("rows"),
                condition: RowCondition(where: query.value("where"), params: query.value("params")),
                subscriptions: query.values("subscription"),
                since: resumed?.position,
                resumes: resumed?.subscriptions
            ).map { request throws(ProtocolError) in try identity.narrowed(request) }
            for request in requests { try server.databaseRequests?.check(request) }
        } catch {
            return .failure(error)
        }
        guard request.method != .head else { return Response(status: .ok, headers: Self.headers) }
        let address = ClientConnection.current?.address
        do throws(UpgradeRefusal) {
            try server.checkConnections(of: identity, from: address)
            try server.mount.clients.enter(server.mount.policy)
        } catch {
            return .refusedConnection(error)
        }
        ClientConnection.current?.becameClient()
        for request in requests { server.databaseRequests?.subscribes(request) }
        let pipe = ResponsePipe()
        let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        let server = server
        let tables = requests.first { $0.channel == .tables }
        let subscriptions = Set((tables?.filters ?? []).map { TableSubscription($0).id }).sorted()
        let opened = try await eventLoop.submit {
            Result { () throws(ProtocolError) in
                try EventStream(
                    server: server,
                    pipe: pipe,
                    identity: identity,
                    address: address,
                    frameEncoding: subscriptions.count > 1
                        ? EventStream.serverSentEvents(of: subscriptions) : EventStream.serverSentEvents,
                    eventLoop: eventLoop
                )
                .open(requests, keepAliveInterval: TimeAmount(server.configuration.limits.http.keepAliveInterval))
            }
        }.get()
        if case .failure(let error) = opened {
            return .failure(error)
        }
        return Response(status: .ok, headers: Self.headers, body: pipe.body(of: request))
    }

    static let headers: HTTPFields = [
        .contentType: "text/event-stream; charset=utf-8",
        .cacheControl: "no-store",
        // Buffering proxies would delay the events.
        .accelBuffering: "no",
    ]
}

extension HTTPField.Name {
    // These names are tokens of RFC 9110, so the initializer does not fail.
    static let lastEventID = HTTPField.Name("Last-Event-ID") ?? .ifMatch
    fileprivate static let accelBuffering = HTTPField.Name("X-Accel-Buffering") ?? .cacheControl
}
