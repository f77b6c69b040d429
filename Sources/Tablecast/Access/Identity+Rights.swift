package import Broadcast
package import QueryEngine
package import WebSocketTransport
package import WireProtocol

/// The rights of an identity: every access decision is made here.
extension Identity {
    /// The policy for its SQL. No client may write when the whole service is read-only.
    package func sqlPolicy(isReadOnlyService: Bool) -> SQLPolicy {
        // SQL that writes is not guarded by rules.
        rules.isEmpty ? rowPolicy(isReadOnlyService: isReadOnlyService) : policy(.readOnly)
    }

    /// The policy for writing single rows, which rules guard.
    package func rowPolicy(isReadOnlyService: Bool) -> SQLPolicy {
        switch role {
        case _ where isReadOnlyService: policy(.readOnly)
        case .readOnly, .relay: policy(.readOnly)
        case .readWrite: policy(.readWrite)
        // An anonymous client may not change the settings of the file.
        case .admin: policy(isAnonymous ? .readWrite : .admin)
        }
    }

    private func policy(_ level: SQLPolicy.Level) -> SQLPolicy {
        let names = tables.map { TableNames($0) }
        var policy = SQLPolicy(level: level, readableTables: names, writableTables: names)
        if !rules.isEmpty { policy.rowRules = rules.sqlRules }
        return policy
    }

    /// The share of the query queue that requests of this identity use: one for all its connections or, without tokens,
    /// one for each address. For a client of a relay, one for that client. Nil for the application itself.
    package func share(from address: ClientAddress?) -> String? {
        if case .proven(let share) = forwarded { return "relay \(share)" }
        return isAnonymous || forwarded == .unproven ? address.map { "address \($0.network)" } : "identity \(id)"
    }

    /// - Parameter what: a clause, such as `broadcasting`.
    package func require(_ required: Role, for what: String) throws(ProtocolError) {
        guard role >= required else {
            throw ProtocolError(
                .forbidden,
                "\(what) is for the role \(required.rawValue); this token's is \(role.rawValue)"
            )
        }
    }

    package func require(_ channel: MessageChannel) throws(ProtocolError) {
        guard !allows(channel) else { return }
        let allowed = MessageChannel.allCases.filter(allows).map(\.rawValue).joined(separator: ", ")
        throw ProtocolError(.forbidden, "channel \(channel.rawValue): this token allows \(allowed)")
    }

    /// Whether a relay with this identity may show its users here: any client can choose the name of a user, but only a relay may
    /// speak for several.
    var mayExchangePresence: Bool { (isAnonymous || role == .relay) && allows(.collaboration) }

    private func allows(_ channel: MessageChannel) -> Bool {
        // The channel carries the acknowledgement and errors.
        if channel == .notifications { return true }
        if let channels { return channels.contains(channel) }
        return tables == nil || channel != .queries
    }

    /// Whether it may know the SQL of other clients: the channel `queries` says it too.
    package var seesSQLOfOthers: Bool { tables == nil && allows(.queries) }

    package func allows(table name: String) -> Bool { tables.map { TableNames($0).contains(name) } ?? true }

    package func require(table name: String) throws(ProtocolError) {
        guard allows(table: name) else {
            throw ProtocolError(.forbidden, "table \(quoted(name)): \(allowedTables)")
        }
    }

    /// - Parameter what: a clause, such as `live queries`.
    package func requireNoRules(for what: String) throws(ProtocolError) {
        guard rules.isEmpty else {
            throw ProtocolError(.forbidden, "\(what) are not available to a token with row rules")
        }
    }

    /// The subscription without the tables that this identity may not read.
    ///
    /// - Throws: `FORBIDDEN` for a channel or a table that is requested by name and not allowed, or if nothing remains.
    package func narrowed(_ request: SubscribeRequest) throws(ProtocolError) -> SubscribeRequest {
        try require(request.channel)
        guard request.channel == .tables, let tables else { return request }
        guard !request.isForRelay else {
            throw ProtocolError(.forbidden, "relay: a relay needs a token without a list of tables")
        }
        var narrowed = request
        if let subscriptions = request.subscriptions {
            narrowed.subscriptions = try subscriptions.map { filter throws(ProtocolError) in
                try self.narrowed(filter, to: tables)
            }
        } else {
            narrowed.filter = try self.narrowed(request.filter, to: tables)
        }
        return narrowed
    }

    private func narrowed(_ filter: TableFilter, to tables: [String]) throws(ProtocolError) -> TableFilter {
        for name in filter.tables ?? [] where !name.unicodeScalars.contains(where: Self.wildcards.contains) {
            try require(table: name)
        }
        let remaining = tables.filter { filter.includes(table: $0) }
        guard !remaining.isEmpty else { throw ProtocolError(.forbidden, "tables: \(allowedTables)") }
        var narrowed = try TableFilter(
            tables: remaining.map(Self.literalPattern),
            operations: filter.operations,
            rowLevel: filter.rowLevel,
            condition: filter.condition
        )
        narrowed.hidesOtherTables = true
        narrowed.rules = rules.tableRules.filter { narrowed.includes(table: $0.table) }
        return narrowed
    }

    private var allowedTables: String {
        let names = (tables ?? []).map { quoted($0) }.joined(separator: ", ")
        return "this token allows \(names.isEmpty ? "none" : names)"
    }

    /// By scalars, as patterns are matched: a wildcard and a combining mark after it are one `Character`.
    private static let wildcards: Set<Unicode.Scalar> = ["*", "?", "["]

    /// A pattern that matches exactly this name.
    private static func literalPattern(_ name: String) -> String {
        name.unicodeScalars.reduce(into: "") { $0 += wildcards.contains($1) ? "[\($1)]" : String($1) }
    }
}

/// What an identity with a list of tables sees of other clients: nothing about other tables.
extension Identity {
    /// The hub's restriction; nil for an identity that sees everything.
    package var restriction: Restriction? {
        tables.map { Restriction(identityID: id, tables: $0, rules: rules.tableRules) }
    }

    /// A list of users without the cursors and texts that this identity may not see.
    func visible(_ list: UserListPayload, author: (_ userID: String) -> Identity?) -> UserListPayload {
        guard let restriction else { return list }
        var visible = list
        for index in visible.users.indices {
            let user = visible.users[index]
            visible.users[index].cursor = user.cursor.flatMap { restriction.visible($0, of: author(user.userID)) }
        }
        return visible
    }
}

extension Restriction {
    func includes(table name: String) -> Bool { TableNames(tables).contains(name) }

    /// Whether every row of the table may be seen.
    func includesAllRows(ofTable name: String) -> Bool { includes(table: name) && !rules.contains { $0.isFor(name) } }

    /// The position of another client's cursor, as far as this identity may see it; nil for a cell of another table, or of
    /// one with a rule that the author does not have.
    ///
    /// A text can quote anything that its author may read, so only identities with at least these rights see it.
    func visible(_ location: CursorLocation, of author: Identity?) -> CursorLocation? {
        switch location {
        case .cell(let table, _, _):
            let rule = rules.first { $0.isFor(table) }
            let isVisible = rule == nil || author?.rules.tableRules.contains { $0 == rule } ?? false
            return includes(table: table) && isVisible ? location : nil
        case .text:
            guard let author, let readable = author.tables, readable.allSatisfy(includes),
                rules.isEmpty || author.rules.tableRules == rules
            else { return location.withoutText }
            return location
        }
    }
}
