package import NIOCore
public import WireProtocol

/// Who a client is, and what it may do.
public struct Identity: Sendable, Hashable {
    /// Of tables in ``tables``.
    public static let maxTables = TableFilter.maxPatterns

    /// Of each of them: as a pattern, its wildcards take three bytes each.
    public static let maxTableNameBytes = TableFilter.maxPatternBytes / 3

    /// Names whoever it is. Clients of the same identity may cancel each other's queries.
    public var id: String
    /// The name that others see; the client cannot choose another. Nil lets it choose.
    public var username: String?
    public var role: Role
    /// The only tables that it may read, write, subscribe to and be told about, by their names without regard to case; nil
    /// for all. What a view reads counts too, so its tables have to be listed with it. With a list nobody changes the schema.
    public var tables: [String]?
    /// The only channels that it may subscribe to, besides `notifications`. Nil for all, or, where ``tables`` has a list, all
    /// but `queries`, which tells everybody's SQL.
    public var channels: Set<MessageChannel>?
    /// When the identity ends, in milliseconds since 1970; its connections are closed then. Nil for never.
    public var expiresAt: Int64?
    /// Nobody asked who it is: a server without an ``Authenticator``.
    let isAnonymous: Bool
    /// With what the server found it out; nil where it did not.
    var credential: Credential?

    public init(
        id: String,
        username: String? = nil,
        role: Role,
        tables: [String]? = nil,
        channels: Set<MessageChannel>? = nil,
        expiresAt: Int64? = nil
    ) {
        self.id = id
        self.username = username
        self.role = role
        self.tables = tables
        self.channels = channels
        self.expiresAt = expiresAt
        isAnonymous = false
    }

    private init() {
        id = ""
        role = .admin
        isAnonymous = true
    }

    /// Everybody, where no tokens are asked for.
    package static let anonymous = Identity()
}

extension Identity {
    /// Reads `role`, `username`, `tables` and `channels`, as a token list and the claims of a JSON Web Token have them.
    ///
    /// Without a role it may only read. A field of the wrong form is an error and never a right: it names the field.
    package init(id: String, fields: [String: JSONValue], expiresAt: Int64? = nil) throws(AuthenticationError) {
        self.init(id: id, role: try Self.role(fields["role"]), expiresAt: expiresAt)
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
        guard let value, value != .null else { return nil }
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

/// What a client may do. Each role may do what those before it may.
public enum Role: String, Sendable, Hashable, CaseIterable, Comparable {
    /// Listen, and run queries that only read.
    case readOnly = "read-only"
    /// Also change rows and schema.
    case readWrite = "read-write"
    /// Also broadcast, cancel everybody's queries, and change settings of the database file.
    case admin

    public static func < (left: Role, right: Role) -> Bool { left.rank < right.rank }

    private var rank: Int {
        switch self {
        case .readOnly: 0
        case .readWrite: 1
        case .admin: 2
        }
    }
}

extension Identity {
    /// Whether it is over, by the wall clock.
    func hasExpired(at milliseconds: Int64) -> Bool { expiresAt.map { $0 <= milliseconds } ?? false }

    /// After what time to look again whether it is over: the wall clock may be set meanwhile. Zero when it is, nil when it
    /// never will be.
    package var timeUntilExpiryCheck: TimeAmount? {
        guard let expiresAt else { return nil }
        let now = UnixTime.milliseconds
        // Compared first: a time far in the past or in the future would overflow.
        guard expiresAt > now else { return .zero }
        return expiresAt > now + 60_000 ? .minutes(1) : .milliseconds(expiresAt - now)
    }
}
