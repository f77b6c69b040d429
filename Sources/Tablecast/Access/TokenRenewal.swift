import WireProtocol

/// What a connection does with another token.
enum TokenRenewal: Hashable {
    /// The rights are the same: subscriptions, queries and an open transaction continue.
    case continues
    /// The rights differ: everything that began with the previous ones ends with the connection, as when the tokens
    /// are read again.
    case reconnects
}

extension Identity {
    /// Decides on the token that is to replace this identity's.
    ///
    /// - Parameter result: the result of checking it.
    /// - Throws: `UNAUTHORIZED` for a token that is not valid, `BUSY` for one that cannot be checked now, `FORBIDDEN` for one
    ///   of another identity or username: the connection's queries and its presence belong to the user who began them.
    func renewal(_ result: Result<Identity, AccessRefusal>) throws(ProtocolError) -> (Identity, TokenRenewal) {
        let next: Identity
        do throws(AccessRefusal) {
            next = try result.get()
        } catch {
            throw ProtocolError(error.code, "data.token: \(error.reason)")
        }
        guard next.id == id, next.username == username else {
            throw ProtocolError(
                .forbidden,
                "data.token: expected a token of the same identity and username as the connection's; open another connection"
            )
        }
        var sameRights = next
        sameRights.expiresAt = expiresAt
        return (next, sameRights == self ? .continues : .reconnects)
    }
}
