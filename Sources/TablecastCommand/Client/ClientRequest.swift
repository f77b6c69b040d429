import WireProtocol

/// The messages that the commands send.
enum ClientRequest {
    static func subscribe(to channel: Channel, data: [String: JSONValue] = [:]) -> [UInt8] {
        message([
            "id": .string(channel.rawValue), "type": "subscribe", "channel": .string(channel.rawValue),
            "data": .object(data),
        ])
    }

    static func execute(queryID: String, _ data: [String: JSONValue]) -> [UInt8] {
        let identified = data.merging(["queryId": .string(queryID)]) { _, new in new }
        return message(["id": .string(queryID), "type": "query:execute", "data": .object(identified)])
    }

    static func follow(id: String, _ data: [String: JSONValue]) -> [UInt8] {
        message(["id": .string(id), "type": "query:subscribe", "data": .object(data)])
    }

    static func cancel(queryID: String) -> [UInt8] {
        message(["type": "query:cancel", "data": ["queryId": .string(queryID)]])
    }

    private static func message(_ fields: [String: JSONValue]) -> [UInt8] {
        var writer = JSONWriter()
        writer.value(.object(fields))
        return writer.bytes
    }
}
