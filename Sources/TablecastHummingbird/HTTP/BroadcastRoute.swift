import Hummingbird
import NIOCore
import Tablecast
import WireProtocol

/// `POST /broadcast` with `{channel?, type?, data}`: to one channel, or to all clients. For administrators.
struct BroadcastRoute {
    let server: WebSocketServer

    func respond(to request: Request, from identity: Identity) async throws -> Response {
        do throws(ProtocolError) {
            try identity.require(.admin, for: "broadcasting")
        } catch {
            return .failure(error)
        }
        var request = request
        let body = try await request.body(upTo: server.configuration.limits.http.maxBroadcastBodyBytes)
        do throws(ProtocolError) {
            let announcement = try Announcement(parsing: body.readableBytesView)
            let payload = ServerPayload.custom(announcement.type, announcement.data)
            if let channel = announcement.channel {
                server.broadcast(payload, to: channel)
            } else {
                server.broadcast(payload)
            }
            return Response(status: .accepted)
        } catch {
            return .failure(error)
        }
    }
}

/// The body of `POST /broadcast`.
struct Announcement {
    let channel: MessageChannel?
    let type: MessageType
    let data: JSONValue

    init(parsing json: some Sequence<UInt8>) throws(ProtocolError) {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: json)
        } catch {
            throw ProtocolError(.invalidMessage, "the body is \(error)")
        }
        guard case .object(let fields) = value else {
            throw ProtocolError(.invalidMessage, "the body: expected an object {channel?, type?, data}")
        }
        switch fields["channel"] {
        case nil, .null: channel = nil
        case .string(let name): channel = try MessageChannel(parsing: name)
        default: throw ProtocolError(.invalidMessage, "channel: expected a string")
        }
        switch fields["type"] {
        case nil, .null: type = MessageType("notification")
        case .string(let name):
            type = MessageType(name)
            guard type.isWellFormed else {
                throw ProtocolError(.invalidMessage, "type: expected 1 to 128 bytes without control characters")
            }
            guard !type.isReserved else {
                throw ProtocolError(.forbidden, "type: \"\(name)\" belongs to the protocol; choose a name of your own")
            }
        default: throw ProtocolError(.invalidMessage, "type: expected a string")
        }
        guard case .object? = fields["data"], let data = fields["data"] else {
            throw ProtocolError(.invalidMessage, "data: expected an object")
        }
        self.data = data
    }
}
