import NIOCore
import NIOHTTP1
import Testing
import WebSocketTransport
import WireProtocol

/// A client on a real socket that reads one message after the other. The test's time limit ends a wait for a message
/// that never arrives.
final class TestClient {
    let connection: WebSocketConnection
    private var messages: ClientMessages.AsyncIterator
    /// Everything that was read, in order.
    private(set) var log: [Envelope] = []

    init(_ port: Int, _ query: String = "", headers: [(String, String)] = []) async throws {
        var client = WebSocketClient()
        for (name, value) in headers { client.headers.add(name: name, value: value) }
        let address = "ws://127.0.0.1:\(port)/ws" + (query.isEmpty ? "" : "?\(query)")
        connection = try await client.connect(to: WebSocketURL(address))
        messages = connection.messages.makeAsyncIterator()
    }

    func send(_ json: String) async throws { try await connection.send(json) }

    func next() async throws -> Envelope {
        let text = try #require(await messages.next(), "the connection ended")
        let message = try Envelope(parsing: text.utf8)
        log.append(message)
        return message
    }

    /// Reads up to the next message of a type.
    func next(_ type: MessageType) async throws -> Envelope {
        while true {
            let message = try await next()
            if message.header.type == type { return message }
        }
    }

    /// Reads up to the reply to a request, past heartbeats and the like.
    func reply(to id: String) async throws -> Envelope {
        while true {
            let message = try await next()
            if message.header.replyTo == id { return message }
        }
    }

    /// Runs SQL and reads up to its end.
    @discardableResult
    func run(_ sql: String, id: String = MessageIDs.next()) async throws -> Envelope {
        let text = JSONText.quoted(sql)
        try await send(#"{"type":"query:execute","id":"\#(id)","data":{"sql":\#(text)}}"#)
        while true {
            let message = try await next()
            guard message.header.replyTo == id else { continue }
            switch message.header.type {
            case .queryComplete, .queryError, .queryCancelled, .error: return message
            default: continue
            }
        }
    }

    /// All messages before the reply to a heartbeat sent now: they include everything published before.
    func drain() async throws -> [Envelope] {
        let start = log.count
        let id = MessageIDs.next()
        try await send(#"{"type":"heartbeat","id":"\#(id)"}"#)
        _ = try await reply(to: id)
        return Array(log[start...].dropLast())
    }

    /// Reads until the connection ends.
    func readToEnd() async {
        while await messages.next() != nil {}
    }

    func close() async { await connection.close() }
}

enum JSONText {
    static func quoted(_ text: String) -> String {
        var writer = JSONWriter()
        writer.string(text)
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}

enum MessageIDs {
    static func next() -> String { MessageID.next() }
}
