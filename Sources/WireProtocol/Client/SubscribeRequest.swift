/// What a client asks for with `subscribe`, or with the address of an event stream.
public struct SubscribeRequest: Sendable, Hashable {
    public var channel: Channel
    /// What of `tables`; ``TableFilter/everything`` for other channels.
    public var filter: TableFilter
    /// Replay what was committed after this position first.
    public var since: Position?
    /// Send the tables' rows first.
    public var wantsSnapshot: Bool

    public init(
        channel: Channel,
        filter: TableFilter = .everything,
        since: Position? = nil,
        wantsSnapshot: Bool = false
    ) {
        self.channel = channel
        self.filter = filter
        self.since = since
        self.wantsSnapshot = wantsSnapshot
    }

    init(channel: Channel, _ data: JSONFields) throws(ProtocolError) {
        self.init(channel: channel)
        guard channel == .tables else { return }
        let operations: TableOperations? = try data.strings("operations").map { names throws(ProtocolError) in
            try data.within("operations") { () throws(ProtocolError) in
                try TableOperations(parsing: names)
            }
        }
        let tables = try data.strings("tables")
        let rows: RowLevel? = try data.choice("rows")
        do {
            filter = try TableFilter(tables: tables, operations: operations ?? .all, rowLevel: rows ?? .none)
        } catch {
            throw ProtocolError(error.code, "data.\(error.message)")
        }
        if let text = try data.string("since", maxBytes: 2 * Position.maxEpochBytes) {
            since = try data.within("since") { () throws(ProtocolError) in try Position(parsing: text) }
        }
        wantsSnapshot = try data.bool("snapshot") ?? false
        if wantsSnapshot, since != nil {
            throw data.failure("snapshot", "expected either since or snapshot, found both")
        }
    }

    /// Reads the values of an address, `/events?channels=tables&tables=users,order*&rows=values&since=…`.
    ///
    /// - Parameters:
    ///   - channels: names separated by commas.
    ///   - tables: names or patterns separated by commas; nil for every table.
    ///   - operations: names separated by commas; nil for every operation.
    ///   - rows: `none`, `keys` or `values`; nil for `none`.
    ///   - since: a position.
    /// - Returns: one request for each channel.
    /// - Throws: an error that names the parameter at fault.
    public static func parse(
        channels: String,
        tables: String? = nil,
        operations: String? = nil,
        rows: String? = nil,
        since: String? = nil
    ) throws(ProtocolError) -> [SubscribeRequest] {
        func list(_ text: String?) -> [String]? { text?.split(separator: ",").map(String.init) }
        guard let level = RowLevel(rawValue: rows ?? RowLevel.none.rawValue) else {
            throw ProtocolError(.invalidMessage, "rows: expected none, keys or values, found \(quoted(rows ?? ""))")
        }
        let filter = try TableFilter(
            tables: list(tables),
            operations: list(operations).map { names throws(ProtocolError) in try TableOperations(parsing: names) }
                ?? .all,
            rowLevel: level
        )
        let position = try since.map { text throws(ProtocolError) in try Position(parsing: text) }
        return try Channel.parseList(channels).map { channel in
            channel == .tables
                ? SubscribeRequest(channel: channel, filter: filter, since: position)
                : SubscribeRequest(channel: channel)
        }
    }
}

extension TableOperations {
    fileprivate init(parsing names: [String]) throws(ProtocolError) {
        self = []
        for name in names { formUnion(try TableOperations(parsing: name)) }
    }
}
