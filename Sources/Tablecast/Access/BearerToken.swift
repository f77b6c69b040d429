/// Finds the token in a request, RFC 6750 section 2: in the header, or where a browser's WebSocket and EventSource, which
/// cannot set headers, have to put it: in the address.
enum BearerToken {
    /// The parameter of the address. It is never logged here; a proxy in front may do so, and should be told not to.
    static let parameter = "access_token"

    /// - Returns: nil where there is none.
    /// - Throws: for more than one, which section 2 forbids: they might be of different people.
    static func find(authorization: [String], uri: String) throws(AccessRefusal) -> String? {
        var tokens: [String] = []
        for field in authorization {
            let parts = field.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
            guard let scheme = parts.first, scheme.lowercased() == "bearer" else {
                throw .invalid("the header 'Authorization' must be 'Bearer' and a token")
            }
            guard parts.count == 2, !parts[1].isEmpty else {
                throw .invalid("the header 'Authorization' has no token")
            }
            tokens.append(parts[1].filter { $0 != " " })
        }
        for (name, value) in AddressQuery(of: uri).fields where name == parameter && !value.isEmpty {
            tokens.append(value)
        }
        guard tokens.count <= 1 else {
            throw .ambiguous("a request carries one token; this one carries \(tokens.count)")
        }
        return tokens.first
    }
}
