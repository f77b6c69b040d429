/// The kinds of changes that a subscriber of `tables` wants to hear about.
public struct TableOperations: OptionSet, Sendable, Hashable {
    public let rawValue: UInt8

    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let insert = Self(rawValue: 1)
    public static let update = Self(rawValue: 2)
    public static let delete = Self(rawValue: 4)
    /// Tables created, altered and dropped.
    public static let schema = Self(rawValue: 8)

    public static let rows: Self = [.insert, .update, .delete]
    public static let all: Self = [.insert, .update, .delete, .schema]

    /// The names on the wire.
    public static let names: [(name: String, operation: TableOperations)] = [
        ("insert", .insert), ("update", .update), ("delete", .delete), ("schema", .schema),
    ]

    /// The operation of that name; the error lists the known ones.
    public init(parsing name: String) throws(ProtocolError) {
        guard let known = Self.names.first(where: { $0.name == name }) else {
            let names = Self.names.map(\.name).joined(separator: ", ")
            throw ProtocolError(.invalidMessage, "unknown operation \(quoted(name)): expected one of \(names)")
        }
        self = known.operation
    }
}
