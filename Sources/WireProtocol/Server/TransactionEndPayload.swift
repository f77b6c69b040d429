/// `transaction:end`: a connection with several subscriptions to `tables` has all their messages up to a position, and may
/// resume all of them after it.
public struct TransactionEndPayload: Sendable, Hashable, Codable {
    public var position: Position

    public init(position: Position) {
        self.position = position
    }
}

extension TransactionEndPayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("position", position)
        writer.endObject()
    }
}
