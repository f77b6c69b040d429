/// `heartbeat`: the answer to a client's own.
public struct HeartbeatPayload: Sendable, Hashable, Codable {
    /// Unix milliseconds.
    public var timestamp: Int64

    public init(timestamp: Int64) {
        self.timestamp = timestamp
    }
}

extension HeartbeatPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("timestamp", timestamp)
        writer.endObject()
    }
}
