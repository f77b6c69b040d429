import Tablecast
import WireProtocol

/// From which claims of a JSON Web Token the rights of its bearer follow.
///
/// Without a mapping they are in one claim of the service's own: `"tablecast": {"role": "read-only", "tables": ["album"]}`,
/// in the format of an entry of a `TokenList`.
public struct ClaimMapping: Sendable {
    /// A claim, or a field within claims that are objects: `["realm_access", "roles"]`.
    typealias Path = [String]

    private var id: Path = ["sub"]
    private var username: Path?
    private var role: Path?
    private var roles: [String: Role] = [:]
    private var tables: Path?
    private var channels: Path?
    private var rules: JSONValue?
    /// Further values for rules, by name.
    private var claims: [String: Path] = [:]
    private var readsOwnClaim = true

    /// The claim of the service's own.
    static let ownClaim = "tablecast"
    private static let ownFields: Set<String> = ["role", "username", "tables", "channels", "rules"]

    public init() {}

    /// Reads a mapping in JSON: `{"username": "email", "role": ["realm_access", "roles"], "roles": {"editor":
    /// "read-write"}, "tables": "tables"}`.
    ///
    /// Each field but `roles` names a claim by a text, or by an array the way to a field within a claim. `roles` maps the
    /// values of the claim of `role`; the role with the most rights counts. Without `role` every bearer may read.
    /// `rules` are the row rules of every bearer, in which `:name` is the claim of that name, or the one that `claims`
    /// names.
    public init(parsing json: some Sequence<UInt8>) throws(JWTConfigurationError) {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: Array(json), rejectingDuplicateNames: true)
        } catch {
            throw JWTConfigurationError("byte \(error.offset): \(error.reason)")
        }
        guard case .object(let fields) = value else { throw JWTConfigurationError("expected an object") }
        let known = ["id", "username", "role", "roles", "tables", "channels", "rules", "claims"]
        if let unknown = fields.keys.sorted().first(where: { !known.contains($0) }) {
            throw JWTConfigurationError("unknown field '\(unknown)'; expected \(known.joined(separator: ", "))")
        }
        readsOwnClaim = false
        id = try Self.path(fields["id"], "id") ?? id
        username = try Self.path(fields["username"], "username")
        role = try Self.path(fields["role"], "role")
        tables = try Self.path(fields["tables"], "tables")
        channels = try Self.path(fields["channels"], "channels")
        switch fields["rules"] {
        case nil: break
        case .object(let entries)? where !entries.isEmpty: rules = fields["rules"]
        default: throw JWTConfigurationError("rules: expected an object such as {\"orders\": \"owner = :sub\"}")
        }
        switch fields["claims"] {
        case nil: break
        case .object(let entries):
            for (name, value) in entries { claims[name] = try Self.path(value, "claims.\(name)") }
        default:
            throw JWTConfigurationError("claims: expected an object such as {\"tenant\": [\"app\", \"tenant_id\"]}")
        }
        switch fields["roles"] {
        case nil: break
        case .object(let entries):
            for (name, value) in entries {
                guard case .string(let text) = value, let role = Role(rawValue: text) else {
                    let expected = Role.allCases.map(\.rawValue).joined(separator: ", ")
                    throw JWTConfigurationError("roles.\(name): expected one of \(expected)")
                }
                roles[name] = role
            }
        default: throw JWTConfigurationError("roles: expected an object such as {\"editor\": \"read-write\"}")
        }
        guard role != nil || roles.isEmpty else {
            throw JWTConfigurationError("roles: expected 'role' beside it, the claim whose values it maps")
        }
    }

    private static func path(_ value: JSONValue?, _ name: String) throws(JWTConfigurationError) -> Path? {
        switch value {
        case nil: return nil
        case .string(let text) where !text.isEmpty: return [text]
        case .array(let parts) where !parts.isEmpty:
            var path: Path = []
            for case .string(let part) in parts { path.append(part) }
            if path.count == parts.count { return path }
        default: break
        }
        throw JWTConfigurationError("\(name): expected the name of a claim, or an array of names")
    }

    /// The identity of a verified token's bearer.
    ///
    /// - Throws: for claims that are missing or malformed: a restriction that cannot be read never grants a right.
    func identity(_ claims: [String: JSONValue], expiresAt: Int64) throws(AuthenticationError) -> Identity {
        guard case .string(let subject)? = Self.value(id, claims), !subject.isEmpty else {
            throw AuthenticationError("the token has no claim '\(id.joined(separator: "."))'")
        }
        var fields: [String: JSONValue] = [:]
        if readsOwnClaim {
            guard case .object(let own)? = claims[Self.ownClaim] else {
                throw AuthenticationError("the token has no claim '\(Self.ownClaim)', an object with its rights")
            }
            if let unknown = own.keys.sorted().first(where: { !Self.ownFields.contains($0) }) {
                throw AuthenticationError("the token's claim '\(Self.ownClaim)' has an unknown field '\(unknown)'")
            }
            fields = own
            if fields["username"] == nil, subject.utf8.count <= ClientMessage.maxUsernameBytes {
                fields["username"] = .string(subject)
            }
        } else {
            if let role { fields["role"] = .string(try mapped(role, claims).rawValue) }
            if let username { fields["username"] = Self.value(username, claims) }
            if let tables { fields["tables"] = try Self.names(tables, claims) }
            if let channels { fields["channels"] = try Self.names(channels, claims) }
            fields["rules"] = rules
        }
        var values = claims
        for (name, path) in self.claims { values[name] = Self.value(path, claims) }
        do {
            return try Identity(id: "jwt:\(subject)", fields: fields, claims: values, expiresAt: expiresAt)
        } catch {
            var named = error
            named.reason = "the token's claims: \(error.reason)"
            throw named
        }
    }

    private func mapped(_ path: Path, _ claims: [String: JSONValue]) throws(AuthenticationError) -> Role {
        let values: [JSONValue]
        switch Self.value(path, claims) {
        case .array(let several): values = several
        case let one?: values = [one]
        case nil: values = []
        }
        var found: [Role] = []
        for case .string(let text) in values {
            if let role = roles.isEmpty ? Role(rawValue: text) : roles[text] { found.append(role) }
        }
        guard let highest = found.max() else {
            throw AuthenticationError("the token's claim '\(path.joined(separator: "."))' has no role of this service")
        }
        return highest
    }

    /// A list of names that restricts: if it is missing, the token does not say what it may see.
    private static func names(_ path: Path, _ claims: [String: JSONValue]) throws(AuthenticationError) -> JSONValue {
        switch value(path, claims) {
        case .array(let names): return .array(names)
        case .string(let name): return .array([.string(name)])
        default: throw AuthenticationError("the token has no claim '\(path.joined(separator: "."))'")
        }
    }

    private static func value(_ path: Path, _ claims: [String: JSONValue]) -> JSONValue? {
        var current = JSONValue.object(claims)
        for name in path {
            guard case .object(let fields) = current, let next = fields[name] else { return nil }
            current = next
        }
        return current
    }
}
