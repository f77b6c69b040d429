/// The request of `subscribe` and of the address of an event stream.
public struct SubscribeRequest: Sendable, Hashable {
    /// The maximum number of ``subscriptions``.
    public static let maxSubscriptions = 100

    public var channel: MessageChannel
    /// The filter of `tables`; ``TableFilter/everything`` for other channels. Ignored when there are ``subscriptions``.
    public var filter: TableFilter
    /// Several subscriptions to `tables` that begin together, instead of ``filter``.
    public var subscriptions: [TableFilter]?
    /// Whether to replay first what was committed after this position.
    public var since: Position?
    /// The ids of the subscriptions that received everything up to ``since``: one, or those of ``subscriptions``. If a filter or the
    /// rights of the client give another id now, `subscribed` says `recovered: false`.
    public var resumes: [String]?
    /// Whether to send the tables' rows first.
    public var wantsSnapshot: Bool
    /// The id of the subscription that this one replaces, without a gap or a repetition.
    public var replaces: String?

    public init(
        channel: MessageChannel,
        filter: TableFilter = .everything,
        subscriptions: [TableFilter]? = nil,
        since: Position? = nil,
        resumes: [String]? = nil,
        wantsSnapshot: Bool = false,
        replaces: String? = nil
    ) {
        self.channel = channel
        self.filter = filter
        self.subscriptions = subscriptions
        self.since = since
        self.resumes = resumes
        self.wantsSnapshot = wantsSnapshot
        self.replaces = replaces
    }

    /// One filter for each requested subscription to `tables`.
    public var filters: [TableFilter] { subscriptions ?? [filter] }

    /// Whether a relay requests whole transactions.
    package var isForRelay: Bool { filters.contains(where: \.isForRelay) }

    init(channel: MessageChannel, _ data: JSONFields) throws(ProtocolError) {
        self.init(channel: channel)
        guard channel == .tables else { return }
        if let list = try data.objects(.subscriptions) {
            subscriptions = try Self.filters(list, data)
        } else {
            filter = try TableFilter(data)
        }
        if let text = try data.string(.since, maxBytes: 2 * Position.maxEpochBytes) {
            since = try data.within(.since) { () throws(ProtocolError) in try Position(parsing: text) }
        }
        resumes = try Self.resumes(data, isList: subscriptions != nil)
        if resumes != nil, since == nil { throw data.failure(.resumes, "expected since beside it") }
        wantsSnapshot = try data.bool(.snapshot) ?? false
        replaces = try data.string(.replaces, maxBytes: ClientMessage.maxIdentifierBytes)
        if wantsSnapshot, since != nil {
            throw data.failure(.snapshot, "expected either since or snapshot, found both")
        }
    }

    /// The field of an only subscription is a string, that of several an array.
    private static func resumes(_ data: JSONFields, isList: Bool) throws(ProtocolError) -> [String]? {
        guard isList else {
            return try data.string(.resumes, maxBytes: ClientMessage.maxIdentifierBytes).map { [$0] }
        }
        let ids = try data.strings(.resumes)
        if let ids, !(1...maxSubscriptions).contains(ids.count) {
            throw data.failure(.resumes, "expected 1 to \(maxSubscriptions) ids, found \(ids.count)")
        }
        return ids
    }

    /// The filters of a list, which allows no other fields but `since` and `resumes`.
    private static func filters(_ list: [JSONFields], _ data: JSONFields) throws(ProtocolError) -> [TableFilter] {
        guard (1...maxSubscriptions).contains(list.count) else {
            throw data.failure(.subscriptions, "expected 1 to \(maxSubscriptions) filters, found \(list.count)")
        }
        for name in TableFilter.fieldNames + [.snapshot, .replaces] where data.value(name) != nil {
            throw data.failure(name, "expected either this or subscriptions, found both")
        }
        var filters: [TableFilter] = []
        for fields in list {
            filters.append(try TableFilter(fields))
        }
        return filters
    }

    /// Reads the values of a query string, `/events?channels=tables&tables=users,order*&rows=values&since=…`.
    ///
    /// - Parameters:
    ///   - channels: names separated by commas.
    ///   - tables: names or patterns separated by commas; nil for every table.
    ///   - operations: names separated by commas; nil for every operation.
    ///   - rows: `none`, `keys` or `values`; nil for `none`.
    ///   - condition: selects rows of the single table; nil for all.
    ///   - subscriptions: filters as JSON, instead of the preceding parameters.
    ///   - since: a position.
    ///   - resumes: the ids of the subscriptions that `since` belongs to.
    /// - Returns: one request for each channel.
    /// - Throws: an error that names the invalid parameter.
    public static func parse(
        channels: String,
        tables: String? = nil,
        operations: String? = nil,
        rows: String? = nil,
        condition: RowCondition? = nil,
        subscriptions: [String] = [],
        since: String? = nil,
        resumes: [String]? = nil
    ) throws(ProtocolError) -> [SubscribeRequest] {
        func list(_ text: String?) -> [String]? { text?.split(separator: ",").map(String.init) }
        guard let level = RowLevel(rawValue: rows ?? RowLevel.none.rawValue) else {
            throw ProtocolError(.invalidMessage, "rows: expected none, keys or values, found \(quoted(rows ?? ""))")
        }
        let filter = try TableFilter(
            tables: list(tables),
            operations: list(operations).map { names throws(ProtocolError) in try TableOperations(parsing: names) }
                ?? .all,
            rowLevel: level,
            condition: condition
        )
        let filters = try parse(subscriptions)
        if filters != nil {
            let fields: [(ClientField, String?)] = [
                (.tables, tables), (.operations, operations), (.rows, rows), (.condition, condition?.sql),
            ]
            for (name, value) in fields where value != nil {
                throw ProtocolError(
                    .invalidMessage,
                    "\(name.rawValue): expected either this or subscription, found both"
                )
            }
        }
        let position = try since.map { text throws(ProtocolError) in
            do throws(ProtocolError) {
                return try Position(parsing: text)
            } catch {
                throw ProtocolError(error.code, "\(ClientField.since.rawValue): \(error.message)")
            }
        }
        let list = try MessageChannel.parseList(channels)
        guard !list.isEmpty else {
            let known = MessageChannel.allCases.map(\.rawValue).joined(separator: ", ")
            throw ProtocolError(.invalidMessage, "channels: expected at least one of \(known), found none")
        }
        return list.map { channel in
            guard channel == .tables else { return SubscribeRequest(channel: channel) }
            return SubscribeRequest(
                channel: channel,
                filter: filter,
                subscriptions: filters,
                since: position,
                resumes: resumes
            )
        }
    }

    private static func parse(_ subscriptions: [String]) throws(ProtocolError) -> [TableFilter]? {
        guard !subscriptions.isEmpty else { return nil }
        guard subscriptions.count <= maxSubscriptions else {
            throw ProtocolError(
                .invalidMessage,
                "subscription: expected at most \(maxSubscriptions), found \(subscriptions.count)"
            )
        }
        var filters: [TableFilter] = []
        for text in subscriptions {
            let value: JSONValue
            do {
                value = try JSONValue(parsing: text.utf8)
            } catch {
                throw ProtocolError(
                    .invalidMessage,
                    "subscription: expected a filter as JSON; \(quoted(text)) is \(error)"
                )
            }
            guard case .object(let fields) = value else {
                throw ProtocolError(.invalidMessage, "subscription: expected an object, found \(value.kind)")
            }
            filters.append(try TableFilter(JSONFields(fields, path: "subscription.")))
        }
        return filters
    }
}

extension TableFilter {
    /// The fields of a filter in a client's message.
    static let fieldNames: [ClientField] = [.tables, .operations, .rows, .condition, .parameters, .relay]

    /// Reads the fields of a filter.
    init(_ data: JSONFields) throws(ProtocolError) {
        if let version = data.value(.relay) {
            try RelayFormat.check(version, data)
            self = .forRelay
            return
        }
        let operations: TableOperations? = try data.strings(.operations).map { names throws(ProtocolError) in
            try data.within(.operations) { () throws(ProtocolError) in
                try TableOperations(parsing: names)
            }
        }
        let tables = try data.strings(.tables)
        let rows: RowLevel? = try data.choice(.rows)
        let condition = try RowCondition(data)
        do {
            try self.init(
                tables: tables,
                operations: operations ?? .all,
                rowLevel: rows ?? .none,
                condition: condition
            )
        } catch {
            throw ProtocolError(error.code, data.path + error.message)
        }
    }
}

extension TableOperations {
    fileprivate init(parsing names: [String]) throws(ProtocolError) {
        self = []
        for name in names { formUnion(try TableOperations(parsing: name)) }
    }
}
