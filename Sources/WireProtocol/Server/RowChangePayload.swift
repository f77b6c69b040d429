/// One row that a transaction changed: an entry of `rows` in `table:modified`.
public struct RowChangePayload: Sendable, Hashable, Codable {
    public enum Operation: String, Sendable, Hashable, Codable {
        case insert
        case update
        case delete
    }

    /// How a row crossed the subscription's condition.
    public enum Crossing: String, Sendable, Hashable, Codable {
        /// It did not match before: the operation is an insert, whatever the transaction did.
        case entered
        /// It does not match any more: the operation is a delete.
        case left
    }

    public var operation: Operation
    /// The primary key's columns, or `rowid` where there is none; the new key of an update that changed it.
    public var key: [String: WireValue]
    /// Nil for a table without one.
    public var rowid: Int64? {
        get { wireRowid?.value }
        set { wireRowid = newValue.map(WireInteger.init) }
    }
    /// The row before the transaction; nil for an insert, and below level `values`.
    public var before: [String: WireValue]?
    /// The row after the transaction; nil for a delete, and below level `values`.
    public var after: [String: WireValue]?
    /// Where an update changed whether the row matches the subscription's condition.
    public var crossing: Crossing?

    private var wireRowid: WireInteger?

    public init(
        operation: Operation,
        key: [String: WireValue],
        rowid: Int64? = nil,
        before: [String: WireValue]? = nil,
        after: [String: WireValue]? = nil,
        crossing: Crossing? = nil
    ) {
        self.operation = operation
        self.key = key
        self.rowid = rowid
        self.before = before
        self.after = after
        self.crossing = crossing
    }

    private enum CodingKeys: String, CodingKey {
        case operation = "op"
        case key
        case wireRowid = "rowid"
        case before
        case after
        case crossing = "filter"
    }
}

extension RowChangePayload: JSONWritable {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("op", operation.rawValue)
        writer.field("filter", crossing?.rawValue)
        writer.field("key", object: key)
        writer.field("rowid", integer: rowid)
        writer.field("before", object: before)
        writer.field("after", object: after)
        writer.endObject()
    }
}
