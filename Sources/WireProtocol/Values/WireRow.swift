/// A row of a result or of a snapshot, in either of the forms a client can ask for.
public enum WireRow: Sendable, Hashable {
    /// `rowFormat` `objects`: values by the name of their column. The order of columns is in the message's `columns`.
    case object([String: WireValue])
    /// `rowFormat` `arrays`: values in the order of the message's `columns`.
    case array([WireValue])

    /// The values in the order of `columns`; NULL where an object lacks one.
    public func values(columns: [String]) -> [WireValue] {
        switch self {
        case .object(let fields): columns.map { fields[$0] ?? .null }
        case .array(let values): values
        }
    }
}

extension WireRow: Codable {
    public init(from decoder: any Decoder) throws {
        if let values = try? [WireValue](from: decoder) {
            self = .array(values)
        } else {
            self = .object(try [String: WireValue](from: decoder))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        switch self {
        case .object(let fields): try fields.encode(to: encoder)
        case .array(let values): try values.encode(to: encoder)
        }
    }
}

extension JSONWriter {
    package mutating func row(_ row: WireRow) {
        switch row {
        case .object(let fields): object(fields)
        case .array(let values):
            beginArray()
            for value in values { self.value(value) }
            endArray()
        }
    }
}
