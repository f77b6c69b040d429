package import WireProtocol

/// The identity of a relay's client, for its source: the source answers with the rights of that client.
package enum ForwardedIdentity {
    /// The header, with JSON as in a token list.
    package static let header = "Tablecast-Identity"

    /// The longest value: servers limit all headers of a request together.
    package static let maxValueBytes = 8_192

    /// The value of the header. For a client without a token it only says whose share of the limits the request uses: the relay's
    /// own rights apply. They are also the most that an identity has which another relay claimed without a token.
    ///
    /// - Parameter share: of the limits at the relay: see ``Identity/share(from:)``.
    /// - Throws: `FORBIDDEN` when the rights of the client do not fit.
    package static func value(of identity: Identity, share: String?) throws(ProtocolError) -> String {
        var fields: [String: JSONValue] = [:]
        if let share { fields["share"] = .string(share) }
        if !identity.isAnonymous {
            if identity.forwarded == .unproven { fields["unproven"] = .bool(true) }
            fields["id"] = .string(identity.id)
            fields["role"] = .string(identity.role.rawValue)
            if let username = identity.username { fields["username"] = .string(username) }
            if let tables = identity.tables { fields["tables"] = .array(tables.map { .string($0) }) }
            if let channels = identity.channels { fields["channels"] = .array(channels.map { .string($0.rawValue) }) }
            if !identity.rules.isEmpty { (fields["rules"], fields["claims"]) = identity.rules.json }
        }
        var writer = JSONWriter()
        writer.value(.object(fields))
        // Header fields have only ASCII.
        let value = Base64.encode(writer.bytes)
        guard value.utf8.count <= maxValueBytes else {
            throw ProtocolError(
                .forbidden,
                "the rights of this token take more than the \(maxValueBytes) bytes that a relay can send to its source"
            )
        }
        return value
    }

    /// - Throws: the reason for a malformed value.
    static func identity(_ value: String, by relay: Identity) throws(AuthenticationError) -> Identity {
        guard let bytes = Base64.decode(value), case .object(let fields)? = try? JSONValue(parsing: bytes),
            fields["id"] != nil || fields["share"] != nil
        else { throw AuthenticationError("\(header): expected base 64 of a JSON object with an id, a share, or both") }
        var share: String?
        if let value = fields["share"] {
            guard case .string(let text) = value, (1...maxValueBytes).contains(text.utf8.count) else {
                throw AuthenticationError("\(header): share: expected a text")
            }
            share = text
        }
        let name = relay.isAnonymous ? "relay" : relay.id
        var identity = relay
        if let value = fields["id"] {
            guard case .string(let id) = value else { throw AuthenticationError("\(header): id: expected a text") }
            var claims: [String: JSONValue] = [:]
            if case .object(let found)? = fields["claims"] { claims = found }
            // Identities of the relay are others than those of this server.
            identity = try Identity(id: "\(name)/\(id)", fields: fields, claims: claims)
            if relay.isAnonymous {
                // Without tokens no client may change the settings of the file, whatever it sends.
                identity.role = min(identity.role, .readWrite)
            } else if fields["unproven"] != nil {
                // Any client of the relay could have sent it: it has no more rights than the relay.
                identity.role = .readOnly
            }
            share = share ?? "identity \(id)"
        }
        identity.forwarded = relay.isAnonymous ? .unproven : .proven(share: "\(name)/\(share ?? "")")
        return identity
    }
}

extension Identity {
    /// The identity whose request this one sends; itself without one.
    ///
    /// - Parameter values: of the header ``ForwardedIdentity/header``.
    /// - Throws: 403 for an identity that is no relay, 401 for a malformed value.
    func forwarding(_ values: [String]) throws(AccessRefusal) -> Identity {
        guard let value = values.first else { return self }
        guard isAnonymous || role == .relay else {
            throw AccessRefusal(
                kind: .forbidden,
                reason: "\(ForwardedIdentity.header) is for tokens with the role \(Role.relay.rawValue)"
            )
        }
        guard isAnonymous || tables == nil else {
            throw AccessRefusal(
                kind: .forbidden,
                reason: "a relay needs a token without tables and rules: its clients have theirs"
            )
        }
        guard values.count == 1 else { throw .invalid("\(ForwardedIdentity.header): expected once") }
        do throws(AuthenticationError) {
            var identity = try ForwardedIdentity.identity(value, by: self)
            // It ends with the relay's token.
            identity.credential = credential
            identity.expiresAt = expiresAt
            return identity
        } catch {
            throw .invalid(error.reason)
        }
    }
}
