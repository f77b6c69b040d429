package import NIOCore
public import WireProtocol

/// The identity and rights of a client.
public struct Identity: Sendable, Hashable {
    /// The maximum number of names in ``tables``.
    public static let maxTables = TableFilter.maxPatterns

    /// The maximum length of each name: as a pattern, each of its wildcards takes three bytes.
    public static let maxTableNameBytes = TableFilter.maxPatternBytes / 3

    /// The identity's unique id. Clients of the same identity may cancel each other's queries.
    public var id: String
    /// The name that other clients see; the client cannot choose another. If nil, the client may choose one.
    public var username: String?
    public var role: Role
    /// The only tables that it may read, write and subscribe to, by their names regardless of case; nil for all. Tables
    /// that a view reads must be listed with it. An identity with a list may not change the schema.
    ///
    /// Never nil with ``rules``: then the tables with a rule, unless there is a list.
    public var tables: [String]? {
        get { listedTables ?? (rules.isEmpty ? nil : rules.tables) }
        set { listedTables = newValue }
    }
    private var listedTables: [String]?
    /// Which rows of its tables it may see, and write with `row:write`. An identity with rules may not write with SQL.
    public var rules: RowRules
    /// The only channels that it may subscribe to, besides `notifications`. Nil for all, or, when ``tables`` has a
    /// list, all except `queries`, which reveals the SQL of all clients.
    public var channels: Set<MessageChannel>?
    /// When the identity expires, in milliseconds since 1970; its connections are closed then. Nil for never.
    public var expiresAt: Int64?
    /// The server has no ``Authenticator``, so the client was not identified.
    let isAnonymous: Bool
    /// The credential that proved this identity; nil if there was none.
    var credential: Credential?
    /// Set when a relay sends the requests of its client; nil for the client's own.
    var forwarded: Forwarded?

    enum Forwarded: Sendable, Hashable {
        /// By a relay without a token. Any client could claim it: so the limits of its address apply.
        case unproven
        /// By an identity with the role of a relay, with the share of the limits that the client uses.
        case proven(share: String)
    }

    public init(
        id: String,
        username: String? = nil,
        role: Role,
        tables: [String]? = nil,
        channels: Set<MessageChannel>? = nil,
        rules: RowRules = .none,
        expiresAt: Int64? = nil
    ) {
        self.id = id
        self.username = username
        self.role = role
        listedTables = tables
        self.channels = channels
        self.rules = rules
        self.expiresAt = expiresAt
        isAnonymous = false
    }

    private init() {
        id = ""
        role = .admin
        rules = .none
        isAnonymous = true
    }

    /// The identity of all clients of a server without an ``Authenticator``.
    package static let anonymous = Identity()
}

extension Identity {
    /// Parses `role`, `username`, `tables`, `channels` and `rules`, in the format of a token list and of the claims of a
    /// JSON Web Token. `claims` are the values that rules can use.
    ///
    /// Without a role the identity may only read. A malformed field is an error that names the field, and never grants
    /// a right.
    package init(
        id: String,
        fields: [String: JSONValue],
        claims: [String: JSONValue] = [:],
        expiresAt: Int64? = nil
    ) throws(AuthenticationError) {
        self.init(id: Self.asciiID(id), role: try Self.role(fields["role"]), expiresAt: expiresAt)
        username = try Self.username(fields["username"])
        if let names = try Self.strings(fields["tables"], "tables") {
            guard names.count <= Self.maxTables, names.allSatisfy({ $0.utf8.count <= Self.maxTableNameBytes }) else {
                throw AuthenticationError(
                    "tables: expected at most \(Self.maxTables) names of at most \(Self.maxTableNameBytes) bytes"
                )
            }
            tables = names
        }
        if let names = try Self.strings(fields["channels"], "channels") {
            do throws(ProtocolError) {
                var channels: Set<MessageChannel> = []
                for name in names { channels.insert(try MessageChannel(parsing: name)) }
                self.channels = channels
            } catch {
                throw AuthenticationError("channels: \(error.message)")
            }
        }
        if let value = fields["rules"] { rules = try RowRules(parsing: value, claims: claims) }
        guard role != .relay || tables == nil else {
            throw AuthenticationError("role: a relay has no tables and no rules: its clients have theirs")
        }
    }

    /// An id in which every byte that is no ASCII character is written as `%XX`: Swift's strings treat two spellings of "é" as
    /// equal, and two users must never be.
    static func asciiID(_ text: String) -> String {
        text.utf8.reduce(into: "") { id, byte in
            if byte < 0x80, byte != UInt8(ascii: "%") {
                id.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                id += (byte < 16 ? "%0" : "%") + String(byte, radix: 16, uppercase: true)
            }
        }
    }

    private static func role(_ value: JSONValue?) throws(AuthenticationError) -> Role {
        switch value {
        case nil, .null: return .readOnly
        case .string(let text):
            if let role = Role(rawValue: text) { return role }
        default: break
        }
        let known = Role.allCases.map(\.rawValue).joined(separator: ", ")
        throw AuthenticationError("role: expected one of \(known)")
    }

    private static func username(_ value: JSONValue?) throws(AuthenticationError) -> String? {
        switch value {
        case nil, .null: return nil
        case .string(let text) where (1...ClientMessage.maxUsernameBytes).contains(text.utf8.count): return text
        default: throw AuthenticationError("username: expected 1 to \(ClientMessage.maxUsernameBytes) bytes of text")
        }
    }

    private static func strings(_ value: JSONValue?, _ name: String) throws(AuthenticationError) -> [String]? {
        // Null is no absence: a restriction that cannot be read grants nothing.
        guard let value else { return nil }
        let failure = AuthenticationError("\(name): expected an array of names")
        guard case .array(let values) = value else { throw failure }
        var strings: [String] = []
        for value in values {
            guard case .string(let text) = value, !text.isEmpty else { throw failure }
            strings.append(text)
        }
        return strings
    }
}

/// The rights of a client. Each role includes the rights of the preceding ones, except ``relay``.
///
/// Later versions can have further cases: handle those you need, and others with `default`.
public enum Role: String, Sendable, Hashable, CaseIterable, Comparable {
    /// Subscribe, and run queries that only read.
    case readOnly = "read-only"
    /// In addition, change rows and the schema.
    case readWrite = "read-write"
    /// In addition, broadcast, list and close connections, cancel the queries of all clients, and change settings of the database file.
    case admin
    /// For relays: the rights of ``readOnly``, and to send requests of other identities, with their rights.
    case relay

    public static func < (left: Role, right: Role) -> Bool { left.rank < right.rank }

    private var rank: Int {
        switch self {
        case .readOnly, .relay: 0
        case .readWrite: 1
        case .admin: 2
        }
    }
}

extension Identity {
    /// Whether the identity has expired, by the wall clock.
    func hasExpired(at milliseconds: Int64) -> Bool { expiresAt.map { $0 <= milliseconds } ?? false }

    /// When to check the expiry again: the wall clock may be set meanwhile. Zero when it has expired, nil when it never
    /// will.
    package var timeUntilExpiryCheck: TimeAmount? {
        guard let expiresAt else { return nil }
        let now = UnixTime.milliseconds
        // Compared first: a time far in the past or in the future would overflow.
        guard expiresAt > now else { return .zero }
        return expiresAt > now + 60_000 ? .minutes(1) : .milliseconds(expiresAt - now)
    }
}
