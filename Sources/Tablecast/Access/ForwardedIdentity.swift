import WireProtocol

/// The identity of a relay's client, for its source: the source answers with the rights of that client.
package enum ForwardedIdentity {
    /// The header, with JSON as in a token list.
    package static let header = "Tablecast-Identity"

    /// The value of the header; nil for a client without a token, for which the relay's own rights apply.
    package static func value(of identity: Identity) -> String? {
        guard !identity.isAnonymous else { return nil }
        var fields: [String: JSONValue] = ["id": .string(identity.id), "role": .string(identity.role.rawValue)]
        if let username = identity.username { fields["username"] = .string(username) }
        if let tables = identity.tables { fields["tables"] = .array(tables.map { .string($0) }) }
        if let channels = identity.channels { fields["channels"] = .array(channels.map { .string($0.rawValue) }) }
        var writer = JSONWriter()
        writer.value(.object(fields))
        // Header fields have only ASCII.
        return Base64.encode(writer.bytes)
    }

    /// - Throws: the reason for a malformed value.
    static func identity(_ value: String, by relay: Identity) throws(AuthenticationError) -> Identity {
        guard let bytes = Base64.decode(value), case .object(let fields)? = try? JSONValue(parsing: bytes),
            case .string(let id)? = fields["id"]
        else { throw AuthenticationError("\(header): expected base 64 of a JSON object with an id") }
        // Identities of the relay are others than those of this server.
        return try Identity(id: "\(relay.isAnonymous ? "relay" : relay.id)/\(id)", fields: fields)
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
        guard values.count == 1 else { throw .invalid("\(ForwardedIdentity.header): expected once") }
        do throws(AuthenticationError) {
            var identity = try ForwardedIdentity.identity(value, by: self)
            // Without tokens no client may change the settings of the file, whatever it sends.
            if isAnonymous { identity.role = min(identity.role, .readWrite) }
            // It ends with the relay's token.
            identity.credential = credential
            identity.expiresAt = expiresAt
            return identity
        } catch {
            throw .invalid(error.reason)
        }
    }
}
